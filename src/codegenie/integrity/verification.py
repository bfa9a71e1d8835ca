"""Verify trees against a lock, and return verdicts. Callers refuse, report or raise.

The guard stops at the first refusal, the command line collects all. Both take the same steps:

1. read the lock;
2. list what can be imported from the folder: each must be locked (``unlocked_plugin``);
3. each locked plugin must be there (``missing_plugin_directory``);
4. walk its tree (``symlink_escape``, ``unhashable_tree``);
5. compare with the lock, or call the verifier of the application (``integrity_mismatch``).

This module does not check manifests: they are in the tree, and the enforcement path does not read
YAML. ``reading`` checks each file again when it is used.
"""

from codegenie.integrity import lock, walk
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.refusals import kinds
from codegenie.result import Err, Ok
from codegenie.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from codegenie.guarded_folder import GuardedFolder
    from codegenie.integrity.walk import Tree
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result

    # Takes the locked digest and the walk's result. Returns the refusal, or None if it passes.
    Judge: TypeAlias = Callable[[str, str, str, Tree], Refusal | None]
    # Reads and parses a lock. If a policy is pinned, it checks the lock's signers first.
    LockReader: TypeAlias = Callable[[str], Result[dict[str, str], Refusal]]
    Verdict: TypeAlias = Result[VerifiedTree, Refusal]

MANIFEST_NAME = "plugin.yaml"


def compare_with_lock(root: str, plugin: str, expected: str, found: "Tree") -> "Refusal | None":
    """Return a refusal unless the digest of the walk is the locked one."""
    if found.digest == expected:
        return None
    return kinds.INTEGRITY_MISMATCH.refusal(root, plugin, expected=expected, actual=found.digest)


def verify_plugin(
    root: str,
    plugin: str,
    expected: str,
    judge: "Judge" = compare_with_lock,
    *,
    lock_path: str = "",
) -> "Verdict":
    """Take steps 3 to 5 for one locked plugin. ``lock_path`` defaults to ``ROOT/PLUGINS.lock``."""
    walked = walk.walk(root, plugin)
    if isinstance(walked, Err):
        return walked
    refused = judge(root, plugin, expected, walked.value)
    if refused is None:
        return Ok(VerifiedTree(root, plugin, walked.value))
    if refused.kind == "integrity_mismatch" and walked.value.digest != expected:
        # Another verifier may refuse a tree that matches the lock. Then no file differs.
        _name_files(refused, expected, walked.value, lock_path or refused.lock)
    return Err(refused)


def _name_files(refused: "Refusal", expected: str, found: "Tree", lock_path: str) -> None:
    """Name the files that differ, by the file list or, as a guess, by their times."""
    try:
        # Loaded only for a refusal (``report.prepare`` describes the exception).
        from codegenie.integrity import file_list
        from codegenie.refusals.differences import newer_than_lock

        refused.differences = file_list.explain(refused.root, refused.plugin, expected, found.files)
        if refused.differences is None:
            refused.guess = newer_than_lock(refused.root, refused.plugin, found.files, lock_path)
    except Exception:  # noqa: S110  # the plugin is refused anyway
        pass


def verify_root(
    folder: "GuardedFolder",
    judge: "Judge" = compare_with_lock,
    read_lock: "LockReader" = lock.read,
) -> "Iterator[Verdict]":
    """Take all steps for the whole folder, and yield one verdict per plugin, in order of names.

    If the lock is not accepted, or the folder cannot be listed, that refusal is the only verdict.
    """
    for verdict in _verdicts(folder, judge, read_lock):
        if isinstance(verdict, Err):
            verdict.error.settle(folder.root, folder.lock)
        yield verdict


def _verdicts(
    folder: "GuardedFolder", judge: "Judge", read_lock: "LockReader"
) -> "Iterator[Verdict]":
    locked = read_lock(folder.lock)
    if isinstance(locked, Err):
        yield locked
        return
    present = walk.importable_entries(folder.root)
    if isinstance(present, Err):
        yield present
        return
    for plugin in sorted(locked.value.keys() | present.value.keys()):
        expected = locked.value.get(plugin)
        if expected is None:
            yield Err(_unlocked(folder.root, plugin, present.value[plugin]))
        elif present.value.get(plugin, plugin) != plugin:
            # Locked, but there is a module file of that name, with or without the folder.
            yield Err(_unlocked(folder.root, plugin, present.value[plugin]))
        else:
            yield verify_plugin(folder.root, plugin, expected, judge, lock_path=folder.lock)


def verify_one(
    folder: "GuardedFolder",
    plugin: str,
    judge: "Judge" = compare_with_lock,
    read_lock: "LockReader" = lock.read,
) -> "Result[VerifiedTree | None, Refusal]":
    """Take all steps for one plugin. None if no such name is locked or on disk."""
    verdict = _verdict_on(folder, plugin, judge, read_lock)
    if isinstance(verdict, Err):
        verdict.error.settle(folder.root, folder.lock)
    return verdict


def _verdict_on(
    folder: "GuardedFolder", plugin: str, judge: "Judge", read_lock: "LockReader"
) -> "Result[VerifiedTree | None, Refusal]":
    locked = read_lock(folder.lock)
    if isinstance(locked, Err):
        return locked
    expected = locked.value.get(plugin)
    if expected is not None:
        return verify_plugin(folder.root, plugin, expected, judge, lock_path=folder.lock)
    present = walk.importable_entries(folder.root)
    if isinstance(present, Err):
        return present
    if plugin in present.value:
        return Err(_unlocked(folder.root, plugin, present.value[plugin]))
    return Ok(None)


def _unlocked(root: str, module: str, entry: str) -> "Refusal":
    """Refuse an ``entry`` of the root that could be imported as ``module``."""
    # Escape the name from the disk, so any output can hold it.
    shown = printable(module.encode("utf-8", "backslashreplace").decode("utf-8"))
    if shown == entry:
        return kinds.unlocked_plugin(root, shown)
    return kinds.stray_module(root, shown, entry)
