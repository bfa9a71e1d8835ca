"""Check that folders can be guarded, each one and all of them together.

Only what sets up a guard loads this module, not each guarded import.
"""

import os
import sys

from codegenie.guarded_folder import OTHERS, GuardedFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_THE_START = ("__main__", "sitecustomize", "usercustomize", "codegenie_activation")
"""Modules besides the standard library that a start runs. An activation that refuses one of these,
or ``site``, would end every start, and with it the command that removes the activation."""

_OF_THE_GUARD = frozenset(
    ("codegenie", "sitecustomize", "codegenie_activation", "00_codegenie_activation")
)
"""First parts of the names of files that a start of the guard needs, in a shared folder."""


def problem_of(folders: "Sequence[GuardedFolder]") -> str | None:
    """Return one sentence on why these folders cannot be guarded together; None if they can.

    Does not check the locks: a folder without a valid lock is guarded, and refuses its imports. An
    empty root is one that is not known yet, so only its package is checked.
    """
    for folder in folders:
        problem = _problem_of_one(folder)
        if problem:
            return problem
    for number, folder in enumerate(folders):
        for other in folders[:number]:
            problem = _problem_of_two(other, folder) or _lock_problem(other, folder)
            if problem:
                return problem
    return None


def package_problem(package: object) -> str | None:
    """Return one sentence on why a folder cannot claim a package; None if it can."""
    if package is None or package == "":
        return None
    if not isinstance(package, str) or not all(p.isidentifier() for p in package.split(".")):
        return f"package {package!r} is not a dotted name of Python identifiers"
    first = package.partition(".")[0]
    if first == "codegenie":
        return f"package {package!r} is part of the guard itself: choose another name"
    if first in sys.stdlib_module_names or first in _OF_THE_START:
        return f"package {package!r} is part of Python or of its start: choose another name"
    return None


def names_problem(package: str | None, names: "Sequence[str]") -> str | None:
    """Return one sentence on why a folder cannot guard the names of its lock; None if it can.

    Args:
        names: the names of the units (``lock.names_of``).
    """
    for name in names:
        if name in _OF_THE_GUARD:
            return f"the lock names {name!r}, which the guard itself needs at every start"
        if package == "" and name in sys.stdlib_module_names:
            return f"the lock names {name!r}, which is a module of the standard library"
    return None


def _problem_of_one(folder: GuardedFolder) -> str | None:
    problem = package_problem(folder.package)
    if problem:
        return problem
    if folder.others not in OTHERS:
        return f"others must be 'refuse' or 'leave', not {folder.others!r}"
    if folder.root and not os.path.isdir(folder.root):
        return f"{folder.root!r} is not a folder"
    if "\0" in folder.lock:
        return f"the lock {folder.lock!r} is not a path: it holds a NUL character"
    return None


def _problem_of_two(one: GuardedFolder, other: GuardedFolder) -> str | None:
    """Refuse roots that overlap, and names that two folders claim: no rule could decide."""
    if one.root and other.root:
        outer, inner = sorted((_real(one.root), _real(other.root)), key=len)
        if outer == inner:
            return f"{one.root!r} and {other.root!r} are the same folder: guard it once"
        if _is_below(inner, outer):
            return f"{inner!r} is inside {outer!r}: guarded folders must not nest"
    if not one.package or not other.package:
        return None
    short, long = sorted((one.package, other.package), key=len)
    if short == long:
        first, second = one.root or "the default folder", other.root or "the default folder"
        return f"package {short!r} is claimed by {first!r} and by {second!r}"
    if long.startswith(f"{short}."):
        return f"package {long!r} is inside package {short!r}, which another folder claims"
    return None


def _lock_problem(one: GuardedFolder, other: GuardedFolder) -> str | None:
    """Refuse a lock in another guarded folder: who may write to that folder could replace it."""
    for folder, elsewhere in ((one, other), (other, one)):
        if not folder.lock or not elsewhere.root:
            continue
        if _is_below(_real(folder.lock), _real(elsewhere.root)):
            return f"the lock {folder.lock!r} is inside another guarded folder, {elsewhere.root!r}"
    return None


def _real(path: str) -> str:
    return os.path.realpath(path)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/")
