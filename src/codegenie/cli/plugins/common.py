"""Share arguments, folders and the verdicts on all plugins between the commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codegenie.authoring import distributions, locking, manifests, signing
from codegenie.authoring.manifests import DEFAULT_POLICY, ManifestPolicy
from codegenie.cli import completion, configuration, documents, output, progress
from codegenie.cli.configuration import ConfiguredFolder
from codegenie.cli.outcome import O, finish, finish_all
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity import verification
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.text import printable
from codegenie.trust import evidence

if TYPE_CHECKING:
    from codegenie.integrity.verification import LockReader

DEFAULT_ROOT = "plugins"

F = TypeVar("F", bound=Callable[..., Any])
Verdict = Result[tuple[VerifiedTree, PluginManifest | None], Refusal]

root_argument = click.argument(
    "root",
    required=False,
    type=click.Path(exists=True, file_okay=False),
    shell_complete=completion.complete_roots,
)
lock_option = click.option(
    "--lock",
    "lock_path",
    type=click.Path(dir_okay=False),
    help="The lock, if it is not the configured one or ROOT/PLUGINS.lock.",
)


@dataclass(frozen=True)
class Target:
    """A folder that a command works on.

    Attributes:
        folder: the guarded folder, with absolute paths.
        root: the folder as a person types it.
        lock: the lock as a person types it; None if it is the default.
        manifest: the policy for manifests.
    """

    folder: GuardedFolder
    root: str
    lock: str | None
    manifest: ManifestPolicy = DEFAULT_POLICY

    def command(self, name: str, *ids: str) -> str:
        """Return a command of ``codegenie plugins`` for this folder, to show to a person."""
        return output.plugins_command(name, self.root, self.lock, *ids)


@dataclass(frozen=True)
class Targets:
    """The folders that a command works on.

    Attributes:
        folders: one or more.
        are_configured: they are all folders of a configuration, because no ROOT was given.
    """

    folders: tuple[Target, ...]
    are_configured: bool = False

    def only(self, reason: str) -> Target:
        """Return the folder, for a command that works on one.

        Raises:
            click.UsageError: there are several.
        """
        if len(self.folders) > 1:
            names = ", ".join(target.root for target in self.folders)
            raise click.UsageError(printable(f"{reason}: give ROOT, one of: {names}"))
        return self.folders[0]


def on_folders(command: F) -> F:
    """Add the arguments of every command on plugin folders: ROOT, the lock and ``--json``.

    The command is called with ``Targets`` in place of ROOT and the lock.
    """

    @wraps(command)
    def on_targets(root: str | None, lock_path: str | None, **arguments: Any) -> Any:
        dists = arguments.get("dists")
        if dists:
            found = Targets((_target_of_distributions(dists, root, lock_path),))
        else:
            found = find_targets(root, lock_path)
        return command(found, **arguments)

    return root_argument(lock_option(output.json_option(on_targets)))  # type: ignore[return-value]


def find_targets(root: str | None, lock_path: str | None) -> Targets:
    """Return the folder that was given, or else those of the nearest configuration.

    A folder that was given keeps the settings that the configuration has for it.

    Raises:
        click.UsageError: there is no such folder, or the configuration is wrong.
    """
    found = configuration.nearest()
    configured = found.folders if found else ()
    if root is None and configured:
        if lock_path is not None:
            raise click.UsageError("--lock needs ROOT: the configuration names the locks")
        return Targets(tuple(map(_configured_target, configured)), are_configured=True)
    if root is None:
        root = DEFAULT_ROOT
        if not Path(root).is_dir():
            raise click.BadParameter(
                f"Directory {root!r} does not exist: give ROOT, or name the folders in "
                f"{configuration.FILE_NAME}",
                param_hint="'[ROOT]'",
            )
    for one in configured:
        if os.path.realpath(one.folder.root) == os.path.realpath(root):
            return Targets((_given_target(one, root, lock_path),))
    folder = GuardedFolder.at(root, lock_path)
    if _is_shared(folder):
        folder = GuardedFolder(folder.root, folder.lock, "", "leave")
    return Targets((Target(folder, root, lock_path),))


def _target_of_distributions(
    names: Sequence[str], root: str | None, lock_path: str | None
) -> Target:
    """Return the folder that holds the distributions: the given one, or the environment's own.

    Raises:
        click.UsageError: the environment has none of them.
    """
    if root is None:
        try:
            root = distributions.folder_of(names)
        except distributions.NotLockable as error:
            raise click.UsageError(printable(str(error))) from None
    return Target(GuardedFolder.at(root, lock_path, "", "leave"), root, lock_path)


def _configured_target(one: ConfiguredFolder) -> Target:
    folder = one.folder
    lock = None if folder.has_default_lock else output.shortest_path(folder.lock)
    return Target(folder, output.shortest_path(folder.root), lock, one.manifest)


def _given_target(one: ConfiguredFolder, root: str, lock_path: str | None) -> Target:
    lock = lock_path
    if lock is None and not one.folder.has_default_lock:
        lock = output.shortest_path(one.folder.lock)
    folder = GuardedFolder.at(root, lock, one.folder.package, one.folder.others)
    return Target(folder, root, lock_path, one.manifest)


def finish_each(
    targets: Targets,
    run: Callable[[Target], O],
    render: Callable[[O], None],
    advise: Callable[[O], None],
    *,
    as_json: bool,
) -> None:
    """Run a command on every folder, print the outcomes, and end with the worst status.

    With ``--json`` the folders of a configuration have one document together, in ``folders``. A
    folder that was given has a document of its own.
    """
    if not targets.are_configured:
        finish(run(targets.folders[0]), render, advise, as_json=as_json)
        return
    finish_all(_outcomes(targets, run), render, advise, as_json=as_json)


def _outcomes(targets: Targets, run: Callable[[Target], O]) -> Iterator[O]:
    for target in targets.folders:
        if len(targets.folders) > 1:
            output.message(printable(f"{target.root}:"))
        yield run(target)


def _is_shared(folder: GuardedFolder) -> bool:
    """Return True if the lock is one of distributions, which leaves the rest of the folder."""
    locked = lock_format.read(folder.lock)
    return isinstance(locked, Ok) and distributions.is_lock_of_distributions(
        folder.root, locked.value
    )


def about(folder: GuardedFolder, refusals: Sequence[Refusal]) -> dict[str, Any]:
    """Return the fields of every document about a plugin folder."""
    return {
        "root": folder.root,
        "lock": folder.lock,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals, folder),
    }


def about_statement(target: Target, compiled: Iterable[str] = ()) -> dict[str, str | None]:
    """Return the fields of a document about the statement beside a lock that was written.

    Args:
        target: the folder.
        compiled: plugins whose packs were written.
    """
    found = signing.outdated_statement(target.folder.lock, compiled)
    if found is None:
        return {"statement_problem": None, "sign": None}
    number = ("--sequence", "N") if found.is_damaged else ()
    command = target.command("sign", "--as", "NAME", *number)
    return {"statement_problem": found.reason, "sign": command}


def advise_to_sign(lock: str, document: documents.Lock | documents.Compile) -> None:
    """Say that the statement beside a lock does not vouch for what was written."""
    if document.statement_problem:
        path = output.shown_path(evidence.statement_path(lock))
        output.message(printable(f"{path} {document.statement_problem}; run: {document.sign}"))


def present_in(root: str) -> list[str]:
    """Return the names that a lock could pin, or none if the folder cannot be listed."""
    present = locking.units_in(root)
    return [entry.name for entry in present.value] if isinstance(present, Ok) else []


def verdicts(
    target: Target, *, as_json: bool, read_lock: LockReader = lock_format.read
) -> Iterator[Verdict]:
    """Yield one verdict per unit, and show the progress unless ``as_json``.

    Args:
        read_lock: reads the lock, perhaps after a check of its signers.
    """
    folder = target.folder
    locked = read_lock(folder.lock)
    pinned = locked.value if isinstance(locked, Ok) else {}
    return progress.follow(
        "verifying",
        sorted({*pinned, *(present_in(folder.root) if folder.others == "refuse" else ())}),
        _with_manifests(folder, target.manifest, read_lock),
        files=lambda verdict: len(verdict.value[0].files) if isinstance(verdict, Ok) else 0,
        shown=not as_json,
    )


def _with_manifests(
    folder: GuardedFolder, policy: ManifestPolicy, read_lock: LockReader
) -> Iterator[Verdict]:
    for verdict in verification.verify_root(folder, read_lock=read_lock):
        if isinstance(verdict, Err):
            yield verdict
            continue
        manifest = manifests.check(verdict.value, policy)
        if isinstance(manifest, Err):
            yield Err(manifest.error.with_context(folder.root, folder.lock))
        else:
            yield Ok((verdict.value, manifest.value))
