"""Check the guarded folders of an active guard, for ``guard status``.

Each folder has its own verdict: it exists, its lock is valid, the pinned names are those of the
lock, and with ``--verify`` every plugin matches the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codegenie._start import DEFAULT_PACKAGE
from codegenie.authoring import compiling
from codegenie.cli import documents, output
from codegenie.cli.guard import folders as choice
from codegenie.cli.trust import pinning
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity import verification
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok


@dataclass(frozen=True)
class FolderHealth:
    """The health of one guarded folder.

    Attributes:
        reported: the folder as the guard reports it; its root is None before the first import.
        units: the number of entries in the lock; None if the lock is not valid.
        verified: the number of plugins that passed; None if they were not verified.
        problem: the reason why the folder is not guarded as it was installed; None if it is.
        refusals: of the lock, or of plugins.
        packs: the plugins that have a pack for this interpreter, each with why it is not used; None
            if the packs are those of another interpreter.
    """

    reported: Mapping[str, Any]
    units: int | None = None
    verified: int | None = None
    problem: str | None = None
    refusals: tuple[Refusal, ...] = ()
    packs: Mapping[str, str] | None = None

    @property
    def names_differ(self) -> bool:
        """True if the lock has other names than the activation has pinned."""
        return self.units is not None and self.problem is not None

    @property
    def document(self) -> documents.FolderHealth:
        """The health as ``--json`` shows it."""
        root, lock = self.reported.get("root"), self.reported.get("lock")
        return documents.FolderHealth(
            root=root,
            lock=lock,
            package=self.reported.get("package", DEFAULT_PACKAGE),
            others=self.reported.get("others", "refuse"),
            units=self.units,
            verified=self.verified,
            problem=self.problem,
            packs=None if self.packs is None else dict(self.packs),
            rejections=output.rejections(self.refusals),
            explanations=output.explanations(self.refusals, _folder(self.reported)) if root else [],
        )

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The health as lines for a person."""
        rows = [("root", f"{self.reported.get('root')} ({choice.shown(self.reported)})")]
        state = self.problem or ("NOT VALID" if self.units is None else self._counted())
        rows.append(("lock", f"{self.reported.get('lock')}: {state}"))
        return [*rows, ("packs", compiling.in_words(self.packs))] if self.packs else rows

    def _counted(self) -> str:
        counted = output.count(self.units or 0, "plugin")
        if self.verified is None:
            return counted
        return f"{counted}, {self.verified} verified, {len(self.refusals)} rejected"


def check_all(
    guard: Mapping[str, Any], pinned: Mapping[str, Any], *, verify: bool, with_packs: bool
) -> tuple[FolderHealth, ...]:
    """Return the health of each folder that a guard reports.

    Args:
        guard: the status of the guard; empty if none is active.
        pinned: the settings in the activation file, for the pinned names.
        verify: also verify every plugin.
        with_packs: the packs of this interpreter are those of the guard.
    """
    reported: Iterable[Mapping[str, Any]] = guard.get("folders") or ()
    names = {one["root"]: one.get("names") for one in pinned.get("folders", ())}
    found = tuple(
        _check({**one, "names": names.get(one.get("root"))}, verify=verify) for one in reported
    )
    for refusal in (refusal for folder in found for refusal in folder.refusals):
        refusal.under_policy = bool(guard.get("trust"))
    return tuple(map(_with_packs, found)) if with_packs else found


def _with_packs(found: FolderHealth) -> FolderHealth:
    """Add the packs that a start would use: by the pinned policy if there is one."""
    if found.units is None:
        return found
    lock = pinning.trusted_lock(found.reported)
    if lock is not None:
        lock.read()
    path = _folder(found.reported).lock
    entries = lock_format.read(path)
    digests = entries.value if isinstance(entries, Ok) else {}
    packs = compiling.packs_in_use(path, digests, lock.covers if lock else None)
    return replace(found, packs=packs)


def _check(reported: Mapping[str, Any], *, verify: bool) -> FolderHealth:
    if not reported.get("root"):
        return FolderHealth(reported, problem="not known before the first import")
    folder = _folder(reported)
    if not Path(folder.root).is_dir():
        return FolderHealth(reported, problem="the folder does not exist")
    entries = lock_format.read(folder.lock)
    if isinstance(entries, Err):
        refusal = entries.error.with_context(folder.root, folder.lock)
        return FolderHealth(reported, refusals=(refusal,))
    units = len(entries.value)
    pinned = reported.get("names")
    if pinned is not None and sorted(pinned) != lock_format.names_of(entries.value):
        return FolderHealth(reported, units, problem="names other units than are pinned: install")
    if not verify:
        return FolderHealth(reported, units)
    verdicts = list(verification.verify_root(folder))
    refusals = tuple(verdict.error for verdict in verdicts if isinstance(verdict, Err))
    return FolderHealth(reported, units, len(verdicts) - len(refusals), refusals=refusals)


def _folder(reported: Mapping[str, Any]) -> GuardedFolder:
    return GuardedFolder.at(
        reported["root"],
        reported.get("lock"),
        reported.get("package", DEFAULT_PACKAGE),
        reported.get("others", "refuse"),
    )
