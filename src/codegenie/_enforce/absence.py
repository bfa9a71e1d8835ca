"""Answer for a module that a verified tree does not have.

An import of it must end in ``ModuleNotFoundError``: with ``None`` importlib would ask the next
finder, which looks at the disk. A query is answered by ``None``, as in plain Python: what CPython
asks before it takes a name from a package's ``__getattr__`` for ``lazy from plugins.x import name``
(``_find_and_load_lazy_submodule`` in ``Lib/importlib/_bootstrap.py``), and
``importlib.util.find_spec``. The next finder is asked then, too, and what it finds would be loaded
or run by ``runpy``. So a name that another finder has ends in ``ModuleNotFoundError`` as well.
"""

import sys

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_FIND_AND_LOAD = _start.find_unlocked.__code__


def is_query(module: str, path: "Sequence[str] | None", caller: "FrameType | None") -> bool:
    """Return True if ``None`` is the right answer: no import asks, and no other finder has it."""
    return not _import_asks(module, caller) and not _is_found_elsewhere(module, path)


def _import_asks(module: str, frame: "FrameType | None") -> bool:
    """Return True if the nearest call of the import system imports the module.

    A finder before the guard may have passed the question on, so the caller is not enough.
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
    """Ask the finders behind the guard, as importlib is about to."""
    behind = False
    for finder in list(sys.meta_path or ()):
        if type(finder) is _start.GuardFinder:
            behind = True
        elif behind:
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is not None and find_spec(module, path) is not None:
                return True
    return False
