"""Make a lock: walk every plugin as it is now, and write the digests that a guard accepts."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codegenie.authoring import manifests
from codegenie.authoring.file_sections import read_sections
from codegenie.authoring.manifests import DEFAULT_POLICY, ManifestPolicy
from codegenie.files import Unreadable, on_disk, read_regular
from codegenie.integrity import file_list, lock, verification, walk
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.integrity.walk import RootEntry
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.types.parsers import parse_plugin_id
from codegenie.writing import FolderNotFlushed, write_error, write_remedy

MAX_FINDINGS = 100
"""Refusals of one unit. A folder of links, such as ``node_modules``, has very many."""


@dataclass(frozen=True)
class UntouchedEntries:
    """The entries and lines of all plugins that a lock of some plugins does not change."""

    entries: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """The plugins of a folder as they are, and the refusals that prevent a lock."""

    root: str
    trees: Mapping[str, VerifiedTree] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    kept: UntouchedEntries = UntouchedEntries()
    has_file_list: bool = True
    """False for a folder that is shared with others, such as ``site-packages``."""

    @property
    def entries(self) -> dict[str, str]:
        """The entries of the new lock."""
        made = {plugin: found.digest for plugin, found in self.trees.items()}
        return {**self.kept.entries, **made}

    def sidecar(self) -> bytes:
        """Return the content of the new ``PLUGINS.sha256``."""
        made = {name: file_list.render(name, tree) for name, tree in self.trees.items()}
        sections = {**self.kept.sections, **made}
        return b"".join(sections[plugin] for plugin in sorted(sections))


Inspected = Result[VerifiedTree, Refusal]


def propose(
    root: str,
    *,
    inspected: Iterable[Inspected] | None = None,
    kept: UntouchedEntries | None = None,
    has_file_list: bool = True,
) -> Proposal:
    """Inspect every unit below ``root``, or use given results. Writes nothing."""
    trees: dict[str, VerifiedTree] = {}
    refusals: list[Refusal] = []
    for found in inspect(root) if inspected is None else inspected:
        if isinstance(found, Err):
            refusals.extend(_all_findings(found.error))
        else:
            trees[found.value.plugin] = found.value
    kept = kept or UntouchedEntries()
    twins = lock.colliding({*trees, *kept.entries})
    if twins is not None:
        detail = f"and {twins[0]!r} are one name on file systems that fold case"
        refusals.append(_unhashable(root, twins[1], detail))
    return Proposal(root, trees, tuple(refusals), kept, has_file_list)


def inspect(
    root: str, only: Collection[str] | None = None, *, manifest: ManifestPolicy = DEFAULT_POLICY
) -> Iterator[Inspected]:
    """Yield each unit below ``root``, or each existing one of ``only``, in order of names.

    An error in one unit does not end the inspection of the others.

    Args:
        root: the guarded folder.
        only: names of units. Each may be any file or folder, also one that Python would not import.
        manifest: what the ``plugin.yaml`` of a unit must be.
    """
    units = units_in(root)
    if isinstance(units, Err):
        yield units
        return
    if only is None:
        for entry in units.value:
            yield _inspect(root, entry, manifest)
        return
    known = {entry.name: entry for entry in units.value}
    for name in sorted(only):
        path = f"{root}/{on_disk(name)}"
        if name in known or os.path.lexists(path):
            named = RootEntry(name, "", is_folder=Path(path).is_dir())
            yield _inspect(root, known.get(name, named), manifest)


def units_in(root: str) -> Result[list[RootEntry], Refusal]:
    """Return the entries of a folder that a first lock would pin, or refuse, in order of names.

    Bytecode that no import can find is left out, like all bytecode below a unit.
    """
    present = walk.root_entries(root)
    if isinstance(present, Err):
        return present
    return Ok([entry for entry in present.value if entry.must_be_locked or not entry.is_bytecode])


def keep_others(
    root: str, lock_path: str, plugins: Collection[str]
) -> Result[UntouchedEntries, Refusal]:
    """Return the entries and lines that a lock of only ``plugins`` does not change.

    A missing lock pins no others. A lock that cannot be read may pin others, and these entries
    would be lost, so it is a refusal.
    """
    entries: Mapping[str, str] = {}
    if os.path.lexists(lock_path):
        present = lock.read(lock_path)
        if isinstance(present, Err):
            return present
        entries = {p: digest for p, digest in present.value.items() if p not in plugins}
    found = read_sections(f"{root}/{file_list.SIDECAR_NAME}", strict=False)
    sections = found.value if isinstance(found, Ok) else {}
    return Ok(
        UntouchedEntries(entries, {p: lines for p, lines in sections.items() if p not in plugins})
    )


def _inspect(root: str, entry: RootEntry, policy: ManifestPolicy) -> Inspected:
    if entry.is_bytecode:
        return Err(verification.refuse_unlocked(root, entry))
    unit = parse_plugin_id(entry.name)
    if isinstance(unit, Err):
        return Err(_unhashable(root, entry.shown, "has a name that no lock can hold"))
    walked = walk.walk(root, unit.value)
    if isinstance(walked, Err):
        return walked
    found = VerifiedTree(root, unit.value, walked.value)
    manifest = manifests.check(found, policy)
    return manifest if isinstance(manifest, Err) else Ok(found)


def _all_findings(first: Refusal) -> list[Refusal]:
    """Return every finding of the walk that ``first`` has ended, so that all can be corrected.

    A walk finds no unit whose name no lock can hold, because that name is shown escaped.
    """
    if first.kind not in ("symlink_escape", "unhashable_tree"):
        return [first]
    found = walk.findings(first.root, first.plugin, MAX_FINDINGS)
    is_there = found and found[0].kind != "missing_plugin_directory"
    return found if is_there else [first]


def _unhashable(root: str, unit: str, detail: str) -> Refusal:
    return kinds.UNHASHABLE_TREE.refusal(root, unit, offending_path=f"{root}/{unit}", detail=detail)


@dataclass(frozen=True)
class Change:
    """The changes of a new lock, by plugin. ``rewritten`` if any byte of a file differs.

    ``lock_differs`` is False if only the file list would change.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    rewritten: bool
    lock_differs: bool = True

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.rewritten)


def compare(proposal: Proposal, lock_path: str) -> Change:
    """Compare a proposal with the lock and file list on disk. A malformed lock counts as empty.

    A refused plugin exists, so it does not count as removed.
    """
    present = lock.read(lock_path)
    old = {} if isinstance(present, Err) else present.value
    new = proposal.entries
    refused = {found.plugin for found in proposal.refusals if not found.is_about_lock}
    same_lock = _same(lock_path, lock.render(new), lock.MAX_LOCK_BYTES)
    sidecar_path = f"{proposal.root}/{file_list.SIDECAR_NAME}"
    same_sidecar = not _writes_file_list(proposal) or _same(
        sidecar_path, proposal.sidecar(), file_list.MAX_SIDECAR_BYTES
    )
    return Change(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(p for p in new.keys() & old.keys() if new[p] != old[p])),
        removed=tuple(sorted(old.keys() - new.keys() - refused)),
        rewritten=not (same_lock and same_sidecar),
        lock_differs=not same_lock,
    )


def can_write_file_list(root: str) -> bool:
    """Return True if this process can put ``PLUGINS.sha256`` into the plugin folder.

    A read-only folder with its lock elsewhere has no file list, which is optional.
    """
    return os.access(root, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _writes_file_list(proposal: Proposal) -> bool:
    return proposal.has_file_list and can_write_file_list(proposal.root)


def write_proposal(proposal: Proposal, lock_path: str) -> Refusal | None:
    """Write the lock, then the file list, which is used only if it reproduces the lock.

    Returns:
        A refusal if that failed. If its location is the lock, nothing was written. Otherwise the
        lock was written.
    """
    failed: Refusal | None = None
    try:
        lock.write_lock(lock_path, proposal.entries)
    except FolderNotFlushed as error:
        fix = "look at the disk, and lock again"
        detail = write_error(error)
        folder = str(Path(lock_path).parent)
        failed = kinds.lock_file_malformed(folder, detail, reason=detail, remedy=fix)
    except (OSError, ValueError) as error:
        detail = write_error(error) if isinstance(error, OSError) else f"cannot be written: {error}"
        fix = write_remedy(error) if isinstance(error, OSError) else "pin fewer plugins"
        return kinds.lock_file_malformed(lock_path, detail, reason=detail, remedy=fix)
    if not _writes_file_list(proposal):
        return failed
    try:
        # Every user who can read the lock may read which files differ, whatever the umask is.
        mode = stat.S_IMODE(Path(lock_path).stat().st_mode)
        file_list.write_file_list(proposal.root, proposal.sidecar(), mode=mode)
    except OSError as error:
        path = f"{proposal.root}/{file_list.SIDECAR_NAME}"
        fix = f"{write_remedy(error)}, and lock again"
        detail = f"was written, but {path} {write_error(error)}"
        return kinds.lock_file_malformed(path, detail, reason=detail, remedy=fix)
    return failed


def _same(path: str, data: bytes, limit: int) -> bool:
    found: Result[bytes, Unreadable] = read_regular(path, max_bytes=limit)
    return isinstance(found, Ok) and found.value == data
