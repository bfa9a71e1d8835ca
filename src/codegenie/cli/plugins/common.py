"""Share arguments, folders and the verdicts on all plugins between the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from codegenie.authoring import locking, manifests
from codegenie.authoring.manifests import DEFAULT_POLICY, ManifestPolicy
from codegenie.cli import output, progress
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity import verification
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result

DEFAULT_ROOT = "plugins"

F = TypeVar("F", bound=Callable[..., Any])
Verdict = Result[tuple[VerifiedTree, PluginManifest | None], Refusal]

root_argument = click.argument(
    "root", default=DEFAULT_ROOT, type=click.Path(exists=True, file_okay=False)
)
lock_option = click.option(
    "--lock",
    "lock_path",
    type=click.Path(dir_okay=False),
    help="The lock, if it is not ROOT/PLUGINS.lock.",
)


@dataclass(frozen=True)
class Target:
    """A folder that a command works on.

    Attributes:
        folder: the guarded folder, with absolute paths.
        root: the folder as a person types it.
        lock: the lock as a person types it; None if it is the default.
    """

    folder: GuardedFolder
    root: str
    lock: str | None

    def command(self, name: str, *ids: str) -> str:
        """Return a command of ``codegenie plugins`` for this folder, to show to a person."""
        return output.plugins_command(name, self.root, self.lock, *ids)


def on_a_folder(command: F) -> F:
    """Add the arguments of every command on a plugin folder: folder, lock and ``--json``.

    The command is called with a ``Target`` in place of the folder and the lock.
    """

    @wraps(command)
    def on_target(root: str, lock_path: str | None, **arguments: Any) -> Any:
        return command(Target(GuardedFolder.at(root, lock_path), root, lock_path), **arguments)

    return root_argument(lock_option(output.json_option(on_target)))  # type: ignore[return-value]


def about(folder: GuardedFolder, refusals: Sequence[Refusal]) -> dict[str, Any]:
    """Return the fields of every document about a plugin folder."""
    return {
        "root": folder.root,
        "lock": folder.lock,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals, folder),
    }


def present_in(root: str) -> list[str]:
    """Return the names that a lock could pin, or none if the folder cannot be listed."""
    present = locking.units_in(root)
    return [entry.name for entry in present.value] if isinstance(present, Ok) else []


def verdicts(
    folder: GuardedFolder, *, as_json: bool, manifest: ManifestPolicy = DEFAULT_POLICY
) -> Iterator[Verdict]:
    """Yield one verdict per unit, and show the progress.

    Args:
        folder: the guarded folder.
        as_json: show no progress.
        manifest: what the ``plugin.yaml`` of a unit must be.
    """
    locked = lock_format.read(folder.lock)
    pinned = locked.value if isinstance(locked, Ok) else {}
    return progress.follow(
        "verifying",
        sorted({*pinned, *(present_in(folder.root) if folder.others == "refuse" else ())}),
        _with_manifests(folder, manifest),
        files=lambda verdict: len(verdict.value[0].files) if isinstance(verdict, Ok) else 0,
        shown=not as_json,
    )


def _with_manifests(folder: GuardedFolder, policy: ManifestPolicy) -> Iterator[Verdict]:
    for verdict in verification.verify_root(folder):
        if isinstance(verdict, Err):
            yield verdict
            continue
        manifest = manifests.check(verdict.value, policy)
        if isinstance(manifest, Err):
            yield Err(manifest.error.settle(folder.root, folder.lock))
        else:
            yield Ok((verdict.value, manifest.value))
