"""Making a lock: look at every plugin as it is now, and write what a guard would accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from codegenie.files import Unreadable, read_regular
from codegenie.plugins._enforce import lock, refusal, sidecar, tree
from codegenie.plugins._enforce.cache import VerifiedTree
from codegenie.plugins._enforce.reading import read_verified
from codegenie.plugins._enforce.refusal import Refusal
from codegenie.plugins._enforce.verification import MANIFEST_NAME
from codegenie.plugins._finder import LOCK_NAME
from codegenie.plugins.manifest import PluginManifest
from codegenie.result import Err, Ok, Result
from codegenie.types.parsers import parse_plugin_id


@dataclass(frozen=True)
class Proposal:
    """The plugins of a folder as they are, and what keeps any of them from being locked."""

    root: str
    trees: Mapping[str, VerifiedTree] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()

    @property
    def entries(self) -> dict[str, str]:
        """What the lock would say."""
        return {plugin: found.digest for plugin, found in self.trees.items()}

    def sidecar(self) -> bytes:
        """What ``PLUGINS.sha256`` would say."""
        return sidecar.render({plugin: found.files for plugin, found in self.trees.items()})


def propose(root: str, lock_path: str | None = None) -> Proposal:
    """Look at every plugin below ``root``; writes nothing.

    ``lock_path`` (default: ``ROOT/PLUGINS.lock``) is the lock that refusals speak of.
    """
    lock_path = lock_path or f"{root}/{LOCK_NAME}"
    trees: dict[str, VerifiedTree] = {}
    refusals: list[Refusal] = []
    for found in _inspect_all(root):
        if isinstance(found, Err):
            refusals.append(found.error.settle(root, lock_path))
        else:
            trees[found.value.plugin] = found.value
    return Proposal(root, trees, tuple(refusals))


def _inspect_all(root: str) -> Iterator[Result[VerifiedTree, Refusal]]:
    present = tree.importable_entries(root)
    if isinstance(present, Err):
        yield present
        return
    for module, entry in present.value.items():
        yield _inspect(root, module, entry)


def _inspect(root: str, module: str, entry: str) -> Result[VerifiedTree, Refusal]:
    if module != entry:
        return Err(refusal.stray_module(root, module, entry))
    plugin = parse_plugin_id(module)
    if isinstance(plugin, Err):
        return Err(refusal.schema_violation(root, entry, f"cannot count: {plugin.error}"))
    walked = tree.walk(root, plugin.value)
    if isinstance(walked, Err):
        return walked
    if MANIFEST_NAME not in walked.value.files:
        return Err(refusal.missing_manifest(root, plugin.value))
    found = VerifiedTree(root, plugin.value, walked.value)
    manifest = read_manifest(found)
    return manifest if isinstance(manifest, Err) else Ok(found)


def read_manifest(found: VerifiedTree) -> Result[PluginManifest, Refusal]:
    """The manifest of a walked tree, from the bytes that were hashed: YAML that nobody vouches for
    is never parsed."""
    data = read_verified(found, MANIFEST_NAME)
    if isinstance(data, Err):
        return data
    manifest = PluginManifest.from_bytes(data.value, folder=found.plugin)
    if isinstance(manifest, Err):
        return Err(refusal.schema_violation(found.root, found.plugin, manifest.error.detail))
    return manifest


@dataclass(frozen=True)
class Change:
    """What a new lock would change, by plugin; ``rewritten`` if only the form of a file differs."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    rewritten: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.rewritten)


def compare(proposal: Proposal, lock_path: str) -> Change:
    """Compare a proposal with the lock and the sidecar on disk. A malformed lock counts as none."""
    present = lock.read(lock_path)
    old = {} if isinstance(present, Err) else present.value
    new = proposal.entries
    same_lock = _same(lock_path, lock.render(new), lock.MAX_LOCK_BYTES)
    sidecar_path = f"{proposal.root}/{sidecar.SIDECAR_NAME}"
    same_sidecar = _same(sidecar_path, proposal.sidecar(), sidecar.MAX_SIDECAR_BYTES)
    return Change(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(p for p in new.keys() & old.keys() if new[p] != old[p])),
        removed=tuple(sorted(old.keys() - new.keys())),
        rewritten=not (same_lock and same_sidecar),
    )


def write(proposal: Proposal, lock_path: str) -> Refusal | None:
    """Write the lock, then the sidecar, which is not believed until it reproduces the lock.

    On a refusal whose location is the lock, nothing was written.
    """
    try:
        lock.write(lock_path, proposal.entries)
    except (OSError, ValueError) as error:
        fix = "make it a regular file in a folder that this user may write to"
        return refusal.lock_file_malformed(lock_path, f"cannot be written: {error}", fix=fix)
    try:
        sidecar.write(proposal.root, proposal.sidecar())
    except OSError as error:
        path = f"{proposal.root}/{sidecar.SIDECAR_NAME}"
        fix = "make it a regular file in a folder that this user may write to, and lock again"
        detail = f"was written, but {path} cannot be: {error}"
        return refusal.lock_file_malformed(path, detail, fix=fix)
    return None


def _same(path: str, data: bytes, limit: int) -> bool:
    found: Result[bytes, Unreadable] = read_regular(path, max_bytes=limit)
    return isinstance(found, Ok) and found.value == data
