"""``codegenie completion``, and the completion of plugin ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from codegenie._start import LOCK_NAME
from codegenie.authoring import locking
from codegenie.integrity import lock
from codegenie.result import Ok
from codegenie.types.parsers import parse_plugin_id

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "codegenie"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    It completes commands, options, folders and the ids of plugins. To install it, add the line for
    your shell to its startup file:

    \b
      ~/.bashrc                   eval "$(codegenie completion bash)"
      ~/.zshrc, after compinit    eval "$(codegenie completion zsh)"
      ~/.config/fish/config.fish  codegenie completion fish | source

    \b
    Examples:
      codegenie completion bash
      codegenie completion fish
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  # click has all three
    script = found(ctx.find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")
    click.echo(script.source())


def complete_plugin_ids(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids of plugins below ROOT and in its lock, except those already typed."""
    root = ctx.params.get("root")
    if root is None:
        return []  # the typed folder does not exist
    lock_path = ctx.params.get("lock_path") or f"{root}/{LOCK_NAME}"
    typed = ctx.params.get("ids") or ()
    names = {*_units(root), *_locked(lock_path)} - {*typed}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _units(root: str) -> Iterator[str]:
    units = locking.units_in(root)
    for entry in units.value if isinstance(units, Ok) else ():
        if isinstance(parse_plugin_id(entry.name), Ok):
            yield entry.name


def _locked(path: str) -> Iterator[str]:
    entries = lock.read(path)
    if isinstance(entries, Ok):
        yield from entries.value
