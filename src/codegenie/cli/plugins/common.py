"""Share arguments, and the verdicts on all plugins, between the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from codegenie.cli import output, progress
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity import walk
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins import loader
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals.record import Refusal
from codegenie.result import Ok, Result

DEFAULT_ROOT = "plugins"

F = TypeVar("F", bound=Callable[..., Any])
Verdict = Result[tuple[VerifiedTree, PluginManifest], Refusal]

root_argument = click.argument(
    "root", default=DEFAULT_ROOT, type=click.Path(exists=True, file_okay=False)
)
lock_option = click.option(
    "--lock",
    "lock_path",
    type=click.Path(dir_okay=False),
    help="The lock, if it is not ROOT/PLUGINS.lock.",
)


def on_a_folder(command: F) -> F:
    """Add the arguments of every command on a plugin folder: folder, lock and ``--json``."""
    return root_argument(lock_option(output.json_option(command)))


def about(folder: GuardedFolder, refusals: Sequence[Refusal]) -> dict[str, Any]:
    """Return the fields of every document about a plugin folder."""
    return {
        "root": folder.root,
        "lock": folder.lock,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals, folder),
    }


def present_in(root: str) -> list[str]:
    """Return the names that can be imported from a folder, or none if it cannot be listed."""
    present = walk.importable_entries(root)
    return sorted(present.value) if isinstance(present, Ok) else []


def verdicts(folder: GuardedFolder, *, as_json: bool) -> Iterator[Verdict]:
    """Yield one verdict per plugin, and show the progress."""
    locked = lock_format.read(folder.lock)
    pinned = locked.value if isinstance(locked, Ok) else {}
    return progress.follow(
        "verifying",
        sorted({*pinned, *present_in(folder.root)}),
        loader.verify_plugins(folder, loader.require_manifest),
        files=lambda verdict: len(verdict.value[0].files) if isinstance(verdict, Ok) else 0,
        shown=not as_json,
    )
