"""The audit hook of strict mode: a filter by event, then a question to the enforcer.

``sys.meta_path`` is a list that anybody may change, and code can be executed without an import. An
audit hook sees both, and cannot be removed. What it watches:

- ``import`` (``import_find_and_load`` in ``Python/import.c``): an import statement that has found
  nothing in ``sys.modules``, before the import lock is taken. A displaced guard is put back first.
  With a path: machine code about to be loaded (``Python/importdl.c``).
- ``exec``: code that Python's own ``exec`` is about to run, whoever found and compiled it. C code
  that calls ``PyEval_EvalCode`` raises no event.
- ``open``: of bytecode in the plugin folder. A ``.pyc`` can name any file as its source, so it is
  stopped before it is read.
- ``ctypes.dlopen``, ``cpython.run_file``: a library or a script of the plugin folder, by path.

Everything else, and everything outside the plugin folder, passes at once.
"""

import sys
from _frozen_importlib_external import BYTECODE_SUFFIXES, SOURCE_SUFFIXES
from _imp import extension_suffixes

from codegenie import primitives
from codegenie.plugins import _finder
from codegenie.plugins._finder import LOCK_NAME, ROOT_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType
    from typing import Any

    from codegenie.plugins._enforce.decision import Enforcer

_RARE = frozenset(("import", "ctypes.dlopen", "cpython.run_file", _finder.WHERE))

_MODULE_SUFFIXES = (*SOURCE_SUFFIXES, *BYTECODE_SUFFIXES, *extension_suffixes())
"""What ``importlib.machinery.all_suffixes`` says; that module is not loaded here."""

_LOADS_EXTENSIONS = "codegenie.plugins._enforce.extensions"

_CALL = primitives.call.__code__
_EXEC_MODULE = primitives.exec_module.__code__
_LOAD = primitives.load_unlocked.__code__

_SOURCELESS = primitives.sourceless_get_code.__code__
_FRAMES_TO_LOADER = 8
"""``get_data``, and what a subclass may put between."""

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
        try:
            # As an exact str, whatever a subclass says that it is.
            return territory.holds(str.__str__(path), _root(finder))
        except (OSError, ValueError):
            return False  # no file can have that name, here and now

    # Bound here: when the interpreter ends, it empties this module before the last audit events.
    system, rare, where = sys, _RARE, _finder.WHERE
    opened, executed, imported, used = _opened, _executed, _imported, _used

    def hook(event: str, args: "tuple[Any, ...]") -> None:
        # The name of an event is a new str each time: comparing costs less than hashing.
        if event == "open":
            path = args[0]
            if type(path) is str:
                if path[-4:] != ".pyc":
                    return
            elif type(path) is int:
                return
            if finder.strict and system.meta_path is not None:
                opened(finder, is_ours, path, args[2])
        elif event == "exec":
            if finder.strict and system.meta_path is not None:
                executed(finder, is_ours, args[0], system._getframe().f_back)
        elif event in rare:
            if event == where:
                args[0].append(finder)
            elif finder.strict and system.meta_path is not None:
                if event == "import":
                    imported(finder, is_ours, args[0], args[1], system._getframe().f_back)
                else:
                    used(finder, is_ours, args[0], by_linker=event == "ctypes.dlopen")

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


def _text(path: object) -> str | None:
    """A path as a str; ``None`` for what is none."""
    import os

    try:
        return str.__str__(os.fsdecode(path))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _imported(
    finder: "_finder.GuardFinder",
    is_ours: "Callable[[object], bool]",
    name: str,
    path: object,
    caller: "FrameType | None",
) -> None:
    if path is None:
        if _finder.is_guarded(name):
            _finder.put_back(finder)
        return
    if caller is not None and caller.f_globals.get("__name__") == _LOADS_EXTENSIONS:
        return  # a sealed copy, which the guard itself loads
    if _finder.is_guarded(name) or is_ours(path):
        enforcer, foreign = _judges(finder)
        foreign.judge_machine_code(enforcer, str(path), name)


def _used(
    finder: "_finder.GuardFinder",
    is_ours: "Callable[[object], bool]",
    path: object,
    *,
    by_linker: bool,
) -> None:
    """A library is opened by ``ctypes``, or a script is started."""
    name = _text(path)
    # A name without a slash is none of the working folder for the dynamic linker.
    if name and ("/" in name or not by_linker) and is_ours(name):
        enforcer, foreign = _judges(finder)
        foreign.judge_file(enforcer, name)


def _opened(
    finder: "_finder.GuardFinder", is_ours: "Callable[[object], bool]", path: object, flags: int
) -> None:
    name = _text(path)
    if name is None or name[-4:] != ".pyc" or flags & 3 == _WRITE_ONLY or not is_ours(name):
        return
    enforcer, foreign = _judges(finder)
    foreign.judge_bytecode(enforcer, name, to_run_it=_is_to_run(sys._getframe()))


def _is_to_run(frame: "FrameType | None") -> bool:
    """Whether bytecode is opened by what runs it: ``SourcelessFileLoader``, or ``runpy``.

    ``SourceLoader.get_code`` only looks for a cache: an ``OSError`` makes it go on with the source,
    and its code is judged then. Others read the file as data.
    """
    for _ in range(_FRAMES_TO_LOADER):
        if frame is None:
            break
        if frame.f_code is _SOURCELESS or (
            frame.f_code.co_name == "_get_code_from_file"
            and frame.f_globals.get("__name__") == "runpy"
        ):
            return True
        frame = frame.f_back
    return False


def _executed(
    finder: "_finder.GuardFinder",
    is_ours: "Callable[[object], bool]",
    code: "CodeType",
    caller: "FrameType | None",
) -> None:
    loader, name, origin = _request(caller)
    if not name and not _finder.is_first(finder):
        loader, name = _being_loaded(caller)
    settled = finder.settled_enforcer()
    if settled is not None and settled.is_verified_loader(loader):
        return
    from_origin = is_ours(origin)
    named = from_origin
    if code.co_filename != origin:
        # The name of a data file is what templates lend to the code that is made of them.
        named = code.co_filename.endswith(_MODULE_SUFFIXES) and is_ours(code.co_filename)
    path = origin if from_origin else code.co_filename
    guarded = _finder.is_guarded(name)
    if not guarded and not from_origin and not named:
        return
    enforcer, foreign = _judges(finder)
    if guarded and not _finder.is_first(finder):
        _finder.put_back(finder, executing=name)
        foreign.refuse_past_the_guard(enforcer, str(path), name)
    else:
        foreign.judge_code(enforcer, code, str(path), name, as_module=from_origin)


def _request(caller: "FrameType | None") -> "tuple[object, str, object]":
    """By which loader, under which name and from which file ``caller`` executes code.

    Code objects can claim any file name; what importlib, ``runpy`` and ``zipimport`` say of them is
    in the frame that executes them. Of other callers, and of the interpreter itself (no frame), it
    is unknown.
    """
    outer = None if caller is None else caller.f_back
    if caller is not None and caller.f_code is _CALL:
        if outer is not None and outer.f_code is _EXEC_MODULE:
            loader = outer.f_locals["self"]
            # Not by getattr: a module can be of a class that computes its attributes.
            attributes = getattr(outer.f_locals["module"], "__dict__", {})
            origin = getattr(attributes.get("__spec__"), "origin", None)
            if not isinstance(origin, str):  # a module that was made without a spec
                origin = getattr(loader, "path", None) or getattr(loader, "archive", None)
            return loader, str(attributes.get("__name__", "")), origin
    elif caller is not None and caller.f_globals.get("__name__") == "runpy":
        return caller.f_locals.get("loader"), "", caller.f_locals.get("fname")
    elif caller is not None and caller.f_globals.get("__name__") == "zipimport":
        # zipimporter.load_module, which is deprecated, executes by itself.
        return None, str(caller.f_locals.get("fullname")), caller.f_locals.get("modpath")
    return None, "", None


def _being_loaded(frame: "FrameType | None") -> "tuple[object, str]":
    """The loader and the name of the module that importlib is loading, for whose sake code runs.

    Asked only while the guard is displaced: a loader with an ``exec_module`` of its own may be
    executing a module that another finder has found.
    """
    while frame is not None and frame.f_code is not _LOAD:
        frame = frame.f_back
    spec = None if frame is None else frame.f_locals.get("spec")
    return getattr(spec, "loader", None), str(getattr(spec, "name", ""))


# --- which files lie in the plugin folder, by whatever path they are named ------------------------
#
# Here, and not in a module of its own, because each module costs the start of every interpreter a
# tenth of a millisecond.

MAX_FOLDERS = 4096
"""Answers that are kept. Programs that make up file names must not fill the memory with them."""


class Territory:
    """The plugin folder under all of its names: links to it, and links to files in it."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        # A root and the answers for it belong together: another thread may ask for another root.
        self._answers: tuple[str | None, dict[str, tuple[bool, tuple[int, int]]]] = (None, {})

    def holds(self, path: str, root: str | None) -> bool:
        """Whether ``path`` is a file below ``root``.

        Args:
            path: as some code was given it; relative, through links, or in a zip file.
            root: the plugin folder, absolute. ``None`` while it is not known: then any folder
                ``plugins`` with a lock in it may become it.

        Raises:
            OSError: the working folder is gone, and the path is relative.
            ValueError: it is a path that no file can have.
        """
        if root != self._answers[0]:
            self._answers = (root, {})
        answers = self._answers[1] if self._answers[0] == root else {}
        os = _os()
        if os is None:
            return False
        folder, slash, _ = path.rpartition("/")
        folder = folder or slash or "."
        # A folder can become a link, and then the answer is another one.
        identity = _identity(folder, os) if path[:1] == "/" else None
        known = answers.get(folder)
        if identity is not None and known is not None and known[1] == identity:
            answer = known[0]
        else:
            answer = _lies_within(folder, root, os)
            if identity is not None:
                if len(answers) >= MAX_FOLDERS:
                    answers.clear()
                answers[folder] = (answer, identity)
        # Or it is a link to one file, in a folder that is not ours.
        return answer or (
            os.path.islink(path) and _lies_within(os.path.dirname(os.path.realpath(path)), root, os)
        )


def is_below(place: str, root: str) -> bool:
    """Whether an absolute path is ``root`` or lies below it, as it is spelled."""
    return f"{place}/".startswith(root if root.endswith("/") else f"{root}/")


def expected_root(requested: str | None) -> str | None:
    """The plugin folder, absolute, where it was asked for: by ``install``, or the environment."""
    os = _os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    # Relative to where the interpreter was started, and not to where it has gone since.
    return os.path.normpath(os.path.join(_STARTED_IN, requested)) if requested else None


def _started_in() -> str:
    try:
        return primitives.getcwd()
    except OSError:
        return "/"  # it was started in a folder that is gone


_STARTED_IN = _started_in()


def _lies_within(folder: str, root: str | None, os: "Any") -> bool:
    roots = None if root is None else list(_places(root, os))
    for place in _places(folder, os):
        if roots is None:
            if _may_become_the_root(place, os):
                return True
        elif is_below(place, roots[0]) or is_below(place, roots[1]):
            return True
    return False


def _may_become_the_root(place: str, os: "Any") -> bool:
    inside = f"{place}/"
    end = inside.find("/plugins/")
    while end >= 0:
        if os.path.lexists(f"{inside[:end]}/plugins/{LOCK_NAME}"):
            return True
        end = inside.find("/plugins/", end + 1)
    return False


def _os() -> "Any":
    """The module ``os``; ``None`` while an interpreter that was started with ``-S`` loads it."""
    import os

    return os if hasattr(os, "path") else None


def _identity(folder: str, os: "Any") -> tuple[int, int] | None:
    """Which folder it is at the end of all links; ``None`` for none, as inside a zip file."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _places(folder: str, os: "Any") -> "Iterator[str]":
    """A folder as it is spelled, and where it really is."""
    absolute = os.path.abspath(folder)
    yield absolute
    yield os.path.realpath(absolute)
