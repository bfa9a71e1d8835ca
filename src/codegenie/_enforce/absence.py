"""Decide between ``None`` and ``ModuleNotFoundError`` for a module that no verified tree has.

Threat: after ``None`` importlib calls the next finder, which searches the disk. Rule: an import
raises ``ModuleNotFoundError``. A query returns ``None``, as in plain Python. There are two queries:
``importlib.util.find_spec``, and the search of CPython before it takes a name from a package's
``__getattr__`` for ``lazy from plugins.x import name`` (``_find_and_load_lazy_submodule`` in
``Lib/importlib/_bootstrap.py``). If another finder would find the module, a query raises
``ModuleNotFoundError`` too, because ``runpy`` would run that module.
"""

import sys

from codegenie import _start
from codegenie._start.finder import GuardFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_FIND_AND_LOAD = _start.find_unlocked.__code__


def is_query(module: str, path: "Sequence[str] | None", caller: "FrameType | None") -> bool:
    """Return True if ``find_spec`` may return ``None``: for a query that no other finder meets."""
    return not _import_asks(module, caller) and not _is_found_elsewhere(module, path)


def _import_asks(module: str, frame: "FrameType | None") -> bool:
    """Return True if the nearest call of the import system imports the module.

    A finder before the guard may have called the guard, so the direct caller does not decide.
    """
    while frame is not None:
        if frame.f_code is _FIND_AND_LOAD:
            variables = frame.f_locals
            return variables["name"] == module and not variables.get("lazy_submodule")
        of = frame.f_globals.get("__name__"), frame.f_code.co_name
        if of == ("importlib", "reload"):
            return True
        if of == ("importlib.util", "find_spec"):
            return False
        frame = frame.f_back
    return False


def _is_found_elsewhere(module: str, path: "Sequence[str] | None") -> bool:
    """Return True if a finder behind the guard finds the module, as importlib would."""
    behind = False
    for finder in list(sys.meta_path or ()):
        if type(finder) is GuardFinder:
            behind = True
        elif behind:
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is not None and find_spec(module, path) is not None:
                return True
    return False
