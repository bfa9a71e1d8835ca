"""Verify trees against a lock. Judges and reports nothing: callers decide what follows.

The guard takes the first refusal, the command line takes them all; both walk the same steps:

1. read the lock;
2. list what can be imported from the folder: each must be locked (``unlocked_plugin``);
3. each locked plugin must be there (``missing_plugin_directory``);
4. walk its tree (``symlink_escape``, ``unhashable_tree``);
5. compare with the lock, or ask the verifier that was given (``integrity_mismatch``).

What is not checked here: manifests (they are inside the tree, and reading YAML has no place on the
enforcement path), and whether the files still hold what the walk saw (``reading`` does that, for
every file, when it is used).
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

    # Takes the walk's result and the locked digest; returns the refusal, or None if it passes.
    Judge: TypeAlias = Callable[[str, str, str, Tree], Refusal | None]
    Verdict: TypeAlias = Result[VerifiedTree, Refusal]

MANIFEST_NAME = "plugin.yaml"


def compare_with_lock(root: str, plugin: str, expected: str, found: "Tree") -> "Refusal | None":
    """The default judge: the digest of the walk is the one in the lock."""
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
    """Steps 3 to 5 for one locked plugin. ``lock_path`` is ``ROOT/PLUGINS.lock`` if not given."""
    walked = walk.walk(root, plugin)
    if isinstance(walked, Err):
        return walked
    refused = judge(root, plugin, expected, walked.value)
    if refused is None:
        return Ok(VerifiedTree(root, plugin, walked.value))
    if refused.kind == "integrity_mismatch" and walked.value.digest != expected:
        # Another verifier may refuse a tree that is the locked one; then no file differs.
        _name_files(refused, expected, walked.value, lock_path or refused.lock)
    return Err(refused)


def _name_files(refused: "Refusal", expected: str, found: "Tree", lock_path: str) -> None:
    """Say which files differ: the sidecar knows or, unless it proves itself, their times hint."""
    try:
        # Not loaded before something is refused (report.prepare tells the exception).
        from codegenie.integrity import file_list
        from codegenie.refusals.differences import newer_than_lock

        refused.differences = file_list.explain(refused.root, refused.plugin, expected, found.files)
        if refused.differences is None:
            refused.guess = newer_than_lock(refused.root, refused.plugin, found.files, lock_path)
    except Exception:  # noqa: S110  # whatever it is: the plugin is refused all the same
        pass


def verify_root(folder: "GuardedFolder", judge: "Judge" = compare_with_lock) -> "Iterator[Verdict]":
    """All steps for the whole folder; one verdict per plugin, in the order of their names.

    A lock that is malformed, or a folder that cannot be listed, is the only verdict there is.
    """
    for verdict in _verdicts(folder, judge):
        if isinstance(verdict, Err):
            verdict.error.settle(folder.root, folder.lock)
        yield verdict


def _verdicts(folder: "GuardedFolder", judge: "Judge") -> "Iterator[Verdict]":
    locked = lock.read(folder.lock)
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
            # Locked, and a module file stands in its place or beside it.
            yield Err(_unlocked(folder.root, plugin, present.value[plugin]))
        else:
            yield verify_plugin(folder.root, plugin, expected, judge, lock_path=folder.lock)


def verify_one(
    folder: "GuardedFolder", plugin: str, judge: "Judge" = compare_with_lock
) -> "Result[VerifiedTree | None, Refusal]":
    """All steps for one plugin; ``None`` if there is nothing of that name, locked or on disk."""
    verdict = _verdict_on(folder, plugin, judge)
    if isinstance(verdict, Err):
        verdict.error.settle(folder.root, folder.lock)
    return verdict


def _verdict_on(
    folder: "GuardedFolder", plugin: str, judge: "Judge"
) -> "Result[VerifiedTree | None, Refusal]":
    locked = lock.read(folder.lock)
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
    """What lies in the root as ``entry`` and could be imported as ``module``."""
    # A name from the disk as text that any output can hold.
    shown = printable(module.encode("utf-8", "backslashreplace").decode("utf-8"))
    if shown == entry:
        return kinds.unlocked_plugin(root, shown)
    return kinds.stray_module(root, shown, entry)
