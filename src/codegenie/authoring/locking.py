"""Make a lock: walk every plugin as it is now, and write the digests that a guard accepts."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codegenie.authoring.file_sections import read_sections
from codegenie.files import Unreadable, read_regular
from codegenie.integrity import file_list, lock, walk
from codegenie.integrity.verification import MANIFEST_NAME
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins.manifest import read_manifest
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.types.parsers import parse_plugin_id
from codegenie.writing import FolderNotFlushed, write_error, write_remedy


@dataclass(frozen=True)
class Kept:
    """The entries and lines of all plugins that a lock of some plugins does not change."""

    entries: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """The plugins of a folder as they are, and the refusals that prevent a lock."""

    root: str
    trees: Mapping[str, VerifiedTree] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    kept: Kept = Kept()

    @property
    def entries(self) -> dict[str, str]:
        """The entries of the new lock."""
        made = {plugin: found.digest for plugin, found in self.trees.items()}
        return {**self.kept.entries, **made}

    def sidecar(self) -> bytes:
        """Return the content of the new ``PLUGINS.sha256``."""
        made = {name: file_list.render({name: tree.files}) for name, tree in self.trees.items()}
        sections = {**self.kept.sections, **made}
        return b"".join(sections[plugin] for plugin in sorted(sections))


Inspected = Result[VerifiedTree, Refusal]


def propose(
    root: str, *, inspected: Iterable[Inspected] | None = None, kept: Kept | None = None
) -> Proposal:
    """Inspect every plugin below ``root``, or use given results. Writes nothing."""
    trees: dict[str, VerifiedTree] = {}
    refusals: list[Refusal] = []
    for found in inspect(root) if inspected is None else inspected:
        if isinstance(found, Err):
            refusals.append(found.error)
        else:
            trees[found.value.plugin] = found.value
    return Proposal(root, trees, tuple(refusals), kept or Kept())


def inspect(root: str, only: Collection[str] | None = None) -> Iterator[Inspected]:
    """Yield each plugin below ``root``, or each existing one of ``only``, in order of names."""
    present = walk.importable_entries(root)
    if isinstance(present, Err):
        yield present
        return
    for module, entry in present.value.items():
        if only is None or module in only:
            yield _inspect(root, module, entry)


def keep_others(root: str, lock_path: str, plugins: Collection[str]) -> Result[Kept, Refusal]:
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
    return Ok(Kept(entries, {p: lines for p, lines in sections.items() if p not in plugins}))


def _inspect(root: str, module: str, entry: str) -> Inspected:
    if module != entry:
        return Err(kinds.stray_module(root, module, entry))
    plugin = parse_plugin_id(module)
    if isinstance(plugin, Err):
        return Err(
            kinds.SCHEMA_VIOLATION.refusal(root, entry, detail=f"cannot count: {plugin.error}")
        )
    walked = walk.walk(root, plugin.value)
    if isinstance(walked, Err):
        return walked
    if MANIFEST_NAME not in walked.value.files:
        return Err(kinds.MISSING_MANIFEST.refusal(root, plugin.value))
    found = VerifiedTree(root, plugin.value, walked.value)
    manifest = read_manifest(found)
    return manifest if isinstance(manifest, Err) else Ok(found)


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
    same_sidecar = not can_write_file_list(proposal.root) or _same(
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


def write(proposal: Proposal, lock_path: str) -> Refusal | None:
    """Write the lock, then the file list, which is used only if it reproduces the lock.

    Returns:
        A refusal if that failed. If its location is the lock, nothing was written. Otherwise the
        lock was written.
    """
    failed: Refusal | None = None
    try:
        lock.write(lock_path, proposal.entries)
    except FolderNotFlushed as error:
        fix = "look at the disk, and lock again"
        detail = write_error(error)
        folder = str(Path(lock_path).parent)
        failed = kinds.lock_file_malformed(folder, detail, reason=detail, remedy=fix)
    except (OSError, ValueError) as error:
        detail = write_error(error) if isinstance(error, OSError) else f"cannot be written: {error}"
        fix = write_remedy(error) if isinstance(error, OSError) else "pin fewer plugins"
        return kinds.lock_file_malformed(lock_path, detail, reason=detail, remedy=fix)
    if not can_write_file_list(proposal.root):
        return failed
    try:
        # Every user who can read the lock may read which files differ, whatever the umask is.
        mode = stat.S_IMODE(Path(lock_path).stat().st_mode)
        file_list.write(proposal.root, proposal.sidecar(), mode=mode)
    except OSError as error:
        path = f"{proposal.root}/{file_list.SIDECAR_NAME}"
        fix = f"{write_remedy(error)}, and lock again"
        detail = f"was written, but {path} {write_error(error)}"
        return kinds.lock_file_malformed(path, detail, reason=detail, remedy=fix)
    return failed


def _same(path: str, data: bytes, limit: int) -> bool:
    found: Result[bytes, Unreadable] = read_regular(path, max_bytes=limit)
    return isinstance(found, Ok) and found.value == data
