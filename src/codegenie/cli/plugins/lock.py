"""``codegenie plugins lock``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from codegenie.authoring import compiling, distributions, locking
from codegenie.authoring.locking import Change, Proposal, UntouchedEntries
from codegenie.cli import completion, configuration, documents, output, progress
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity.file_list import SIDECAR_NAME
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok
from codegenie.text import printable
from codegenie.types.parsers import parse_plugin_id

OUTDATED = 4
"""The status of a check if the lock would change: that of a rejection."""


@click.command()
@common.on_folders
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=completion.complete_plugin_ids)
@click.option(
    "--dist",
    "dists",
    metavar="NAME",
    multiple=True,
    is_eager=True,
    help="Lock this installed distribution, and nothing else of ROOT (default: the environment's "
    "site-packages). May be given several times; needs --lock.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 4 if the lock would change.")
def lock(
    targets: common.Targets,
    as_json: bool,
    check: bool,
    ids: tuple[str, ...],
    dists: tuple[str, ...],
) -> None:
    """Validate every plugin below ROOT and pin its digest in the lock.

    With one ID or more, after ROOT, locks only those plugins. The entries of others do not change.
    If the folder of a given plugin is gone, its entry is removed.

    With --dist, the lock names exactly the given distributions: each entry that they have at the
    top of ROOT, and their .dist-info folders with the entry points.

    \b
    Examples:
      codegenie plugins lock
      codegenie plugins lock --check plugins
      codegenie plugins lock plugins hello
      codegenie plugins lock --dist rich --lock dists.lock
    """
    if dists:
        work = partial(run_dists, names=dists, ids=ids, check=check, as_json=as_json)
    else:
        work = partial(run, ids=ids, check=check, as_json=as_json)
    common.finish_each(targets, work, render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The lock as it is now, or as it would be with ``--check``.

    Attributes:
        ids: the plugins that were given; empty for all.
        stale: plugins whose bytecode does not match the lock.
    """

    target: common.Target
    ids: tuple[str, ...]
    check: bool
    document: documents.Lock
    change: Change
    refusals: tuple[Refusal, ...]
    stale: Sequence[str]

    @property
    def status(self) -> int:
        return output.status_of(self.refusals) or (OUTDATED if self.is_outdated else 0)

    @property
    def is_outdated(self) -> bool:
        """Return True if a check has found that the lock would change."""
        return self.check and bool(self.change)


def run(target: common.Target, ids: tuple[str, ...], *, check: bool, as_json: bool) -> Outcome:
    """Inspect the plugins and write the lock, unless one is refused or only checked."""
    names = () if ids else _locked_distributions(target.folder)
    if names:
        return _lock_dists(target, names, check=check, as_json=as_json)

    def compare() -> tuple[Proposal, Change]:
        return _compare(target, ids, as_json=as_json)

    return _lock(target, ids, compare, check=check, as_json=as_json)


def run_dists(
    target: common.Target,
    *,
    names: tuple[str, ...],
    ids: tuple[str, ...],
    check: bool,
    as_json: bool,
) -> Outcome:
    """Inspect the units of distributions, and write a lock that names exactly these."""
    if ids:
        raise click.UsageError("--dist locks whole distributions; give no ID with it")
    if target.lock is None:
        raise click.UsageError("--dist needs --lock: a lock in site-packages belongs to no one")
    return _lock_dists(target, names, check=check, as_json=as_json)


def _locked_distributions(folder: GuardedFolder) -> Sequence[str]:
    """Return the distributions that a lock names, without those that were uninstalled.

    A new version has another ``.dist-info``, and perhaps other modules, so its units are found by
    the name of the distribution and not by their names in the lock.
    """
    locked = lock_format.read(folder.lock) if folder.others == "leave" else None
    names = distributions.names_in(locked.value) if isinstance(locked, Ok) else ()
    return [name for name in names if distributions.is_installed(folder.root, name)] or names


def _lock_dists(
    target: common.Target, names: Sequence[str], *, check: bool, as_json: bool
) -> Outcome:
    folder = target.folder
    try:
        installed = [distributions.find(folder.root, name) for name in names]
    except distributions.NotLockable as error:
        raise click.UsageError(printable(str(error))) from None
    for one in installed:
        _tell_what_is_not_covered(one)
    if not distributions.is_site_packages(folder.root):
        output.message(
            f"other commands hold all of {output.shown_path(folder.root)} to the lock, unless "
            f'{configuration.FILE_NAME} has others = "leave" for it'
        )

    def compare() -> tuple[Proposal, Change]:
        units = sorted({unit for one in installed for unit in one.units})
        inspected = progress.follow(
            "reading",
            units,
            locking.inspect(folder.root, units, manifest="none"),
            files=lambda found: len(found.value.files) if isinstance(found, Ok) else 0,
            shown=not as_json,
        )
        proposal = locking.propose(folder.root, inspected=inspected, has_file_list=False)
        return proposal, locking.compare(proposal, folder.lock)

    again = tuple(word for name in names for word in ("--dist", name))
    return _lock(target, again, compare, check=check, as_json=as_json)


def _tell_what_is_not_covered(installed: distributions.Installed) -> None:
    for unit in installed.shared:
        output.message(
            f"{unit} has no __init__.py, so all of it is pinned, also what other distributions add"
        )
    if installed.outside:
        output.message(
            f"{installed.name} has files outside of the folder, which are not pinned: "
            f"{', '.join(installed.outside)}"
        )


def _lock(
    target: common.Target,
    ids: tuple[str, ...],
    compare: Callable[[], tuple[Proposal, Change]],
    *,
    check: bool,
    as_json: bool,
) -> Outcome:
    folder = target.folder
    folders = () if check else (folder.root, str(Path(folder.lock).parent))
    # Read the lock only after another command that is running now has written it.
    with output.turn(*folders, as_json=as_json):
        proposal, change = compare()
        refusals = list(proposal.refusals)
        written = False
        if not refusals and change and not check:
            failed = locking.write_proposal(proposal, folder.lock)
            written = failed is None or failed.location != folder.lock
            refusals.extend([failed] if failed else [])
        about_statement = {} if check or refusals else common.about_statement(target)
    document = documents.Lock(
        **common.about(folder, refusals),
        **about_statement,
        plugins=proposal.entries,
        added=list(change.added),
        changed=list(change.changed),
        removed=list(change.removed),
        would_change=bool(change),
        written=written,
    )
    stale = () if check or refusals else compiling.stale_plugins(folder.lock, proposal.entries)
    return Outcome(target, ids, check, document, change, tuple(refusals), stale)


def render(outcome: Outcome) -> None:
    """Print the entries that were added, changed or removed."""
    if outcome.document.written or not outcome.refusals:
        _show(outcome.change)


def advise(outcome: Outcome) -> None:
    """Explain the refusals, or say what is stale and how many plugins are pinned."""
    target, folder = outcome.target, outcome.target.folder
    where = output.shown_path(folder.lock)
    written = outcome.document.written
    if outcome.refusals:
        summary = f"{len(outcome.refusals)} rejected, nothing was written to {where}"
        output.explain(outcome.refusals, f"{where} was written" if written else summary)
        return
    if outcome.stale:
        output.message(
            f"the bytecode of {', '.join(outcome.stale)} is stale and will not be used; "
            f"run: {target.command('compile')}"
        )
    common.advise_to_sign(folder.lock, outcome.document)
    if outcome.is_outdated:
        _tell_what_is_outdated(folder, outcome.change, target.command("lock", *outcome.ids))
        return
    is_shared = folder.others == "leave"
    if is_shared and not outcome.document.plugins:
        again = target.command("lock", "ID")
        output.message(f'others = "leave" pins only the plugins that you name; run: {again}')
    if not (outcome.check or is_shared or locking.can_write_file_list(folder.root)):
        shown = output.shown_path(folder.root)
        output.message(
            f"{shown} cannot be written, so it has no {SIDECAR_NAME}: a refusal will not name files"
        )
    pinned = f"{output.count(len(outcome.document.plugins), 'plugin')} pinned in {where}"
    output.message(pinned + (_counts(outcome.change) if written else ", nothing to change"))


def _show(change: Change) -> None:
    for sign, names in (("+", change.added), ("~", change.changed), ("-", change.removed)):
        for name in names:
            output.change(sign, name)


def _counts(change: Change) -> str:
    names = ((change.added, "added"), (change.changed, "changed"), (change.removed, "removed"))
    counts = ", ".join(f"{len(ids)} {word}" for ids, word in names if ids)
    return f": {counts}" if counts else ""


def _tell_what_is_outdated(folder: GuardedFolder, change: Change, again: str) -> None:
    if change.lock_differs:
        output.message(f"{output.shown_path(folder.lock)} is not up to date; run: {again}")
    else:
        of_files = output.shown_path(f"{folder.root}/{SIDECAR_NAME}")
        output.message(
            f"{of_files} is not up to date, while the lock pins what is there; run: {again}"
        )


def _compare(
    target: common.Target, ids: Sequence[str], *, as_json: bool
) -> tuple[Proposal, Change]:
    folder = target.folder
    kept = _kept(folder, ids)
    if isinstance(kept, Err):
        refused = Proposal(folder.root, refusals=(kept.error,))
        return refused, Change((), (), (), rewritten=False)
    proposal = _propose(target, ids, kept.value, as_json=as_json)
    return proposal, locking.compare(proposal, folder.lock)


def _kept(folder: GuardedFolder, ids: Sequence[str]) -> Ok[UntouchedEntries] | Err[Refusal]:
    """Return the entries that do not change. There are none unless only some plugins were given."""
    if not ids:
        return Ok(UntouchedEntries())
    for name in ids:
        parsed = parse_plugin_id(name)
        if isinstance(parsed, Err):
            raise click.BadParameter(str(parsed.error), param_hint="'ID'")
    kept = locking.keep_others(folder.root, folder.lock, ids)
    present = common.present_in(folder.root)
    locked = lock_format.read(folder.lock)
    known = {*present, *(locked.value if isinstance(locked, Ok) else ())}
    for name in ids:
        if name not in known and isinstance(kept, Ok):
            raise click.BadParameter(
                f"there is no plugin {name!r} in {output.shown_path(folder.root)}, nor in its lock",
                param_hint="'ID'",
            )
    return kept


def _propose(
    target: common.Target, ids: Sequence[str], kept: UntouchedEntries, *, as_json: bool
) -> Proposal:
    folder = target.folder
    is_shared = folder.others == "leave"
    only: Collection[str] | None = ids or None
    if is_shared and not ids:
        locked = lock_format.read(folder.lock)
        only = sorted(locked.value) if isinstance(locked, Ok) else ()
    inspected = progress.follow(
        "reading",
        common.present_in(folder.root) if only is None else sorted(only),
        locking.inspect(folder.root, only, manifest=target.manifest),
        files=lambda found: len(found.value.files) if isinstance(found, Ok) else 0,
        shown=not as_json,
    )
    return locking.propose(folder.root, inspected=inspected, kept=kept, has_file_list=not is_shared)
