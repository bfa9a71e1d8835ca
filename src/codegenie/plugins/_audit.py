"""The audit hook of strict mode: a filter by event, then a question to the enforcer.

``sys.meta_path`` is a list that anybody may change, and code can be executed without an import. An
audit hook sees both, and cannot be removed. What it watches:

- ``import`` (``import_find_and_load`` in ``Python/import.c``): an import statement that has found
  nothing in ``sys.modules``, before the import lock is taken. A displaced guard is put back first.
  With a path: machine code about to be loaded (``Python/importdl.c``).
- ``exec``: module code about to run, whoever found and compiled it.
- ``open``: of bytecode in the plugin folder. A ``.pyc`` can name any file as its source, so it is
  stopped before it is read.
- ``ctypes.dlopen``, ``cpython.run_file``: a library or a script of the plugin folder, by path.

Everything else, and everything outside the plugin folder, passes at once.
"""

import sys

from codegenie import primitives
from codegenie.plugins import _finder
from codegenie.plugins._territory import Territory, expected_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType
    from typing import Any

    from codegenie.plugins._enforce.decision import Enforcer

_RARE = frozenset(("import", "ctypes.dlopen", "cpython.run_file", _finder.WHERE))

_CALL = primitives.call.__code__
_EXEC_MODULE = primitives.exec_module.__code__
_GET_CODE = primitives.get_code.__code__

_FRAMES_TO_GET_CODE = 8

_WRITE_ONLY = 1
"""``os.O_WRONLY``, of the lowest two bits of the flags (``os.O_ACCMODE``)."""


def add(finder: "_finder.GuardFinder") -> None:
    """Add the hook of this guard to the interpreter, for good.

    Raises:
        ImportError: another audit hook does not allow it.
    """
    sys.addaudithook(hook_of(finder))
    # A hook that raises a RuntimeError keeps others out, and sys.addaudithook says nothing.
    if finder not in _finder.answers():
        raise ImportError(
            "the plugin guard was not installed: an audit hook of this process lets no other one "
            "in\n  fix       import codegenie.plugins.guard before that hook is added",
            name="codegenie.plugins.guard",
        )


def hook_of(finder: "_finder.GuardFinder") -> "Callable[[str, tuple[Any, ...]], None]":
    """The audit hook of this guard."""
    territory = Territory()

    def is_ours(path: object) -> bool:
        if not isinstance(path, str) or (path[:1] == "<" and path[-1:] == ">"):
            return False  # "<string>", "<frozen os>": no file
        return territory.holds(str.__str__(path), _root(finder))  # exact, whatever a subclass says

    def hook(event: str, args: "tuple[Any, ...]") -> None:
        # The name of an event is a new str each time: comparing costs less than hashing.
        if event == "open":
            path = args[0]
            if type(path) is str:
                if path[-4:] != ".pyc":
                    return
            elif type(path) is int:
                return
            if finder.strict:
                _opened(finder, is_ours, path, args[2])
        elif event == "exec":
            if finder.strict:
                _executed(finder, is_ours, args[0], sys._getframe().f_back)
        elif event in _RARE:
            if event == _finder.WHERE:
                args[0].append(finder)
            elif finder.strict:
                if event == "import":
                    _imported(finder, is_ours, args[0], args[1])
                elif is_ours(_text(args[0])):
                    enforcer, foreign = _judges(finder)
                    foreign.judge_file(enforcer, _text(args[0]))

    return hook


def _root(finder: "_finder.GuardFinder") -> str | None:
    enforcer = finder.settled_enforcer()
    if enforcer is not None and enforcer.settings is not None:
        return enforcer.settings.root
    return expected_root(finder.requested.get("root"))


def _judges(finder: "_finder.GuardFinder") -> "tuple[Enforcer, Any]":
    """The enforcer, and the rules for what goes around the import system.

    Raises:
        ImportError: the guard's own code cannot be loaded. Then nothing of the folder runs.
    """
    enforcer = finder.enforcer()
    from codegenie.plugins._enforce import foreign

    return enforcer, foreign


def _text(path: object) -> str:
    """A path as a str; empty for what is none."""
    import os

    try:
        return os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        return ""


def _imported(
    finder: "_finder.GuardFinder", is_ours: "Callable[[object], bool]", name: str, path: object
) -> None:
    if path is not None:
        if is_ours(path):
            enforcer, foreign = _judges(finder)
            foreign.judge_machine_code(enforcer, str(path), name)
    elif _finder.is_guarded(name):
        _finder.put_back(finder)


def _opened(
    finder: "_finder.GuardFinder", is_ours: "Callable[[object], bool]", path: object, flags: int
) -> None:
    name = _text(path)
    if name[-4:] != ".pyc" or flags & 3 == _WRITE_ONLY or not is_ours(name):
        return
    # SourceLoader.get_code asks by way of get_data, and of whatever a subclass puts between.
    frame: FrameType | None = sys._getframe()
    for _ in range(_FRAMES_TO_GET_CODE):
        if frame is None or frame.f_code is _GET_CODE:
            break
        frame = frame.f_back
    as_cache = frame is not None and frame.f_code is _GET_CODE
    enforcer, foreign = _judges(finder)
    foreign.judge_bytecode(enforcer, name, as_cache=as_cache)


def _executed(
    finder: "_finder.GuardFinder",
    is_ours: "Callable[[object], bool]",
    code: "CodeType",
    caller: "FrameType | None",
) -> None:
    loader, name, origin = _request(caller)
    from_origin = is_ours(origin)
    path = origin if from_origin else code.co_filename
    guarded = _finder.is_guarded(name)
    if not guarded and not from_origin and not is_ours(path):
        return
    if finder.enforcer().is_verified_loader(loader):
        return
    enforcer, foreign = _judges(finder)
    if guarded and not _finder.is_first(finder):
        _finder.put_back(finder, executing=name)
        foreign.refuse_past_the_guard(enforcer, str(path), name)
    else:
        foreign.judge_code(enforcer, code, str(path), name, as_module=from_origin)


def _request(caller: "FrameType | None") -> "tuple[object, str, object]":
    """By which loader, under which name and from which file ``caller`` executes code.

    Code objects can claim any file name; what importlib and ``runpy`` say of them is in the frame
    that executes them. Of other callers, and of the interpreter itself (no frame), it is unknown.
    """
    outer = None if caller is None else caller.f_back
    if caller is not None and caller.f_code is _CALL:
        if outer is not None and outer.f_code is _EXEC_MODULE:
            loader, module = outer.f_locals["self"], outer.f_locals["module"]
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            if not isinstance(origin, str):
                origin = getattr(loader, "path", None)  # a module that was made without a spec
            return loader, str(getattr(module, "__name__", "")), origin
    elif caller is not None and caller.f_globals.get("__name__") == "runpy":
        return caller.f_locals.get("loader"), "", caller.f_locals.get("fname")
    elif caller is not None and caller.f_globals.get("__name__") == "zipimport":
        # zipimporter.load_module, which is deprecated, executes by itself.
        return None, str(caller.f_locals.get("fullname")), caller.f_locals.get("modpath")
    return None, "", None
