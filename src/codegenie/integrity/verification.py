"""Verify trees against a lock, and return verdicts. Callers refuse, report or raise.

The guard stops at the first refusal, the command line collects all. Both take the same steps:

1. read the lock;
2. list what can be imported from the folder: each must be locked (``unlocked_plugin``), unless the
   folder leaves others alone (``others="leave"``);
3. each locked unit must be there (``missing_plugin_directory``);
4. walk its tree (``symlink_escape``, ``unhashable_tree``);
5. compare with the lock, or call the verifier of the application (``integrity_mismatch``).

This module does not check manifests: they are in the tree, and the enforcement path does not read
YAML. ``reading`` checks each file again when it is used.
"""

from codegenie import _start
from codegenie._start.own_modules import Late
from codegenie.integrity import lock, walk
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator  # noqa: F401
    from typing import TypeAlias

    from codegenie.guarded_folder import GuardedFolder  # noqa: F401
    from codegenie.integrity.walk import RootEntry, Tree  # noqa: F401
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result

    # Takes the locked digest and the walk's result. Returns the refusal, or None if it passes.
    TreeCheck: TypeAlias = Callable[[str, str, str, Tree], Refusal | None]
    # Reads and parses a lock. If a policy is pinned, it checks the lock's signers first.
    LockReader: TypeAlias = Callable[[str], Result[dict[str, str], Refusal]]
    Verdict: TypeAlias = Result[VerifiedTree, Refusal]
    from codegenie.refusals import kinds
else:
    kinds = Late("refusals.kinds")

MANIFEST_NAME = "plugin.yaml"


def compare_with_lock(root, plugin, expected, found):
    # type: (str, str, str, Tree) -> Refusal | None
    """Return a refusal unless the digest of the walk is the locked one."""
    if found.digest == expected:
        return None
    return kinds.INTEGRITY_MISMATCH.refusal(root, plugin, expected=expected, actual=found.digest)


def verify_plugin(root, plugin, expected, check_tree=compare_with_lock, *, lock_path=""):
    # type: (str, str, str, TreeCheck, str) -> Verdict
    """Take steps 3 to 5 for one locked plugin. ``lock_path`` defaults to ``ROOT/PLUGINS.lock``."""
    walked = walk.walk(root, plugin)
    if isinstance(walked, Err):
        return walked
    refused = check_tree(root, plugin, expected, walked.value)
    if refused is None:
        return Ok(VerifiedTree(root, plugin, walked.value))
    if refused.kind == "integrity_mismatch" and walked.value.digest != expected:
        # Another verifier may refuse a tree that matches the lock. Then no file differs.
        _name_files(refused, expected, walked.value, lock_path or refused.lock)
    return Err(refused)


def _name_files(refused, expected, found, lock_path):
    # type: (Refusal, str, Tree, str) -> None
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


def verify_root(folder, check_tree=compare_with_lock, read_lock=lock.read):
    # type: (GuardedFolder, TreeCheck, LockReader) -> Iterator[Verdict]
    """Take all steps for the whole folder, and yield one verdict per plugin, in order of names.

    If the lock is not accepted, or the folder cannot be listed, that refusal is the only verdict.
    """
    for verdict in _verdicts(folder, check_tree, read_lock):
        if isinstance(verdict, Err):
            verdict.error.with_context(folder.root, folder.lock)
        yield verdict


def _verdicts(folder, check_tree, read_lock):
    # type: (GuardedFolder, TreeCheck, LockReader) -> Iterator[Verdict]
    """Yield one verdict for each locked unit and for each unlocked entry, in order of names.

    A lock or a folder that cannot be read is the only verdict, because it concerns every unit.
    """
    locked = read_lock(folder.lock)
    if isinstance(locked, Err):
        yield locked
        return
    unlocked = _unlocked_entries(folder, locked.value)
    if isinstance(unlocked, Err):
        yield unlocked
        return
    for unit in sorted(locked.value.keys() | unlocked.value.keys()):
        if unit in unlocked.value:
            yield Err(refuse_unlocked(folder.root, unlocked.value[unit]))
        else:
            expected = locked.value[unit]
            yield verify_plugin(folder.root, unit, expected, check_tree, lock_path=folder.lock)


def _unlocked_entries(folder, locked):
    # type: (GuardedFolder, Container[str]) -> Result[dict[str, RootEntry], Refusal]
    """Return the entries that refuse the folder, by name: importable, and not in the lock."""
    if folder.others == "leave":
        return Ok({})
    present = walk.root_entries(folder.root)
    if isinstance(present, Err):
        return present
    return Ok(
        {
            entry.name: entry
            for entry in present.value
            if entry.must_be_locked and entry.name not in locked
        }
    )


def verify_named(folder, name, check_tree=compare_with_lock, read_lock=lock.read):
    # type: (GuardedFolder, str, TreeCheck, LockReader) -> Result[list[VerifiedTree], Refusal]
    """Take all steps for the units that have one module name.

    There may be several: ``tool/``, ``tool.py`` and ``tool.abi3.so`` are all imported as ``tool``.
    They pass together, so which of them is imported does not depend on which was verified first.

    Args:
        name: the module name, or the name of one of the units.
        read_lock: reads the lock, and checks who vouches for it.

    Returns:
        The trees, none if no such unit is locked or on disk; or the first refusal.
    """
    trees: list[VerifiedTree] = []
    for verdict in _verdicts_on(folder, name, check_tree, read_lock):
        if isinstance(verdict, Err):
            verdict.error.with_context(folder.root, folder.lock)
            return verdict
        trees.append(verdict.value)
    return Ok(trees)


def _verdicts_on(folder, name, check_tree, read_lock):
    # type: (GuardedFolder, str, TreeCheck, LockReader) -> Iterator[Verdict]
    """Yield the verdicts on the units of one module name.

    Unlocked entries count only if no unit of that name is locked: then the name is refused, and is
    not absent.
    """
    locked = read_lock(folder.lock)
    if isinstance(locked, Err):
        yield locked
        return
    units = units_of_module(name)
    counted = [unit for unit in units if unit in locked.value]
    for unit in counted:
        yield verify_plugin(
            folder.root, unit, locked.value[unit], check_tree, lock_path=folder.lock
        )
    if not counted:
        unlocked = _unlocked_entries(folder, locked.value)
        if isinstance(unlocked, Err):
            yield unlocked
            return
        for unit in units:
            if unit in unlocked.value:
                yield Err(refuse_unlocked(folder.root, unlocked.value[unit]))


def units_of_module(name):
    # type: (str) -> list[str]
    """Return the names that a unit can have, by its module name or by one of those names."""
    module = walk.stem_of(name) or name
    units = [module, *(module + suffix for suffix in _start.MODULE_SUFFIXES)]
    return units if name in units else [name, *units]


def refuse_unlocked(root, entry):
    # type: (str, RootEntry) -> Refusal
    """Return the refusal of an importable entry of the root that the lock does not name."""
    if entry.is_bytecode:
        return kinds.stray_bytecode(root, entry.shown)
    return kinds.unlocked_plugin(root, entry.shown)
