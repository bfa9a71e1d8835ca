"""``codegenie completion``, and the completion of plugin ids."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from codegenie.activation import files
from codegenie.authoring import locking
from codegenie.cli import configuration, output
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock
from codegenie.result import Ok
from codegenie.types.parsers import parse_plugin_id

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


def complete_roots(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the configured and the activated folders that match; any folder if none does."""
    roots = {output.shortest_path(folder.root) for folder in _known_folders()}
    found = [CompletionItem(root) for root in sorted(roots) if root.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def complete_plugin_ids(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the ids of plugins below ROOT and in its lock, except those already typed."""
    root = ctx.params.get("root")
    if root is None:
        return []  # the typed folder does not exist
    folder = _folder_at(root)
    names = {*_locked(ctx.params.get("lock_path") or folder.lock)}
    if folder.others == "refuse":
        names.update(_units(root))
    names -= {*(ctx.params.get("ids") or ())}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _folder_at(root: str) -> GuardedFolder:
    """Return the folder with its configured or activated lock."""
    for folder in _known_folders():
        if os.path.realpath(folder.root) == os.path.realpath(root):
            return folder
    return GuardedFolder.at(root)


def _known_folders() -> Iterator[GuardedFolder]:
    """Yield the folders of the nearest configuration, then those of this environment's activation.

    A shell completes while a person types, so a file that cannot be read gives no folders.
    """
    with suppress(click.UsageError):
        found = configuration.nearest()
        yield from (one.folder for one in (found.folders if found else ()))
    with suppress(OSError, ValueError, SyntaxError):
        pinned = files.pinned_settings(Path(sysconfig.get_path("purelib"))) or {}
        for one in pinned.get("folders", ()):
            others = one.get("others", "refuse")
            yield GuardedFolder.at(one["root"], one["lock"], one.get("package"), others)


def _units(root: str) -> Iterator[str]:
    units = locking.units_in(root)
    for entry in units.value if isinstance(units, Ok) else ():
        if isinstance(parse_plugin_id(entry.name), Ok):
            yield entry.name


def _locked(path: str) -> Iterator[str]:
    entries = lock.read(path)
    if isinstance(entries, Ok):
        yield from entries.value
