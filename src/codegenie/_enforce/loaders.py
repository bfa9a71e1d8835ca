"""Define the importlib loaders of verified modules: the base classes, and the loaders of source.

``exec_module``, ``get_code`` and ``source_to_code`` are CPython's own functions, because tracebacks
are trimmed only through frames of CPython's files. They read bytes only through ``get_data``, which
is the guard's. ``SourceFileLoader`` is not a base class, because it reads by path, looks for
``.pyc`` files and writes them.
"""

import os
import sys

# importlib.util re-exports it, but importing that costs three times as much.
from _frozen_importlib_external import decode_source

from codegenie import _start
from codegenie._start.finder import installed, registered_class
from codegenie._start.own_modules import Late
from codegenie.hashing import file_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec  # noqa: F401
    from collections.abc import Callable
    from types import CodeType, FunctionType, ModuleType  # noqa: F401
    from typing import Any, TypeVar

    from codegenie._enforce.access import Access  # noqa: F401
    from codegenie._enforce.resources import VerifiedReader  # noqa: F401
    from codegenie.integrity.verified_tree import VerifiedTree  # noqa: F401

    Method = TypeVar("Method", bound=Callable[..., Any])

    from codegenie.refusals import kinds
else:
    kinds = Late("refusals.kinds")


class VerifiedLoader:
    """The base of the loaders for modules of a verified tree.

    It does not derive from ``importlib.abc.Loader``, because importing that takes longer than
    verifying a small plugin. Its sub-classes are registered instead (``registered_class``).
    """

    __class__ = registered_class("Loader")

    def __init__(self, access, tree, name, relative):
        # type: (Access, VerifiedTree, str, str) -> None
        self._access = access
        self._tree = tree
        self._relative = relative
        self.name = name
        self.path = self._file = tree.path_of(relative)

    def belongs_to(self, access):
        # type: (Access) -> bool
        """Return True if the tree of this loader is verified by the present lock of ``access``.

        ``load_plugins`` can change the root or the lock. Trees of an earlier lock are then no
        longer trusted.
        """
        now = access.verified.get(self._tree.plugin)
        return (
            self._access is access
            and now is not None
            and (now.root, now.digest) == (self._tree.root, self._tree.digest)
        )

    def create_module(self, spec):
        # type: (ModuleSpec) -> ModuleType | None
        return None

    if sys.version_info < (3, 15):

        def load_module(self, fullname):
            # type: (str) -> ModuleType
            """Import the module as the deprecated method of CPython's loaders does."""
            from importlib._abc import Loader

            return Loader.load_module(self, fullname)  # type: ignore[arg-type]

    def get_resource_reader(self, fullname):
        # type: (str) -> VerifiedReader
        # Imported here: only callers that read resources have loaded importlib.resources.
        from codegenie._enforce.resources import VerifiedReader

        return VerifiedReader(self._access, self._tree, self._folder(), self.name)

    def _folder(self):
        # type: () -> str
        """Return the folder of the tree in which the module's resources are."""
        return self._relative.rpartition("/")[0]

    def __copy__(self):
        # type: () -> VerifiedLoader
        """Return the loader itself, because its tree and its access must stay as they are."""
        return self

    def __deepcopy__(self, memo):
        # type: (object) -> VerifiedLoader
        return self

    def __reduce__(self):
        # type: () -> tuple[Any, ...]
        """Pickle the module's name and folder, and nothing that was verified.

        A pickle can come from an attacker, so what it says is never trusted. Unpickling has the
        guard of the process find the module again (``find_loader``).
        """
        return find_loader, (self.name, self._tree.path_of(self._relative))

    def __eq__(self, other):
        # type: (object) -> bool
        return (
            type(other) is type(self)
            and isinstance(other, VerifiedLoader)
            and (other.name, other.path, other._tree) == (self.name, self.path, self._tree)
        )

    def __hash__(self):
        # type: () -> int
        return hash((self.name, self.path))

    def __repr__(self):
        # type: () -> str
        return f"<{type(self).__name__} {self.name!r} at {self.path!r}>"


def find_loader(name, path):
    # type: (str, str) -> Any
    """Return the loader that the guard of this process gives a module. For unpickling.

    Args:
        name: the module's name.
        path: its file, by which a module is found that is imported by a path in a plugin.

    Raises:
        ImportError: this process has no guard, or the guard finds or lets pass no such module.
    """
    guard = installed()
    if guard is None:
        raise ImportError(
            f"the loader of {name!r} cannot be unpickled, because this process has no plugin "
            "guard: import codegenie.plugins.guard before",
            name=name,
        )
    spec = guard.find_spec(name)
    claim = guard.claim_at(path)
    if spec is None and claim is not None:
        # Not loaded before, because few programs pickle a loader.
        from codegenie._enforce import file_specs

        spec = file_specs.spec_of_file(claim.enforcer(), name, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec.loader


class VerifiedFileLoader(VerifiedLoader):
    """The optional methods of PEP 302, for every loader of a file."""

    def is_package(self, fullname):
        # type: (str) -> bool
        stem = self._relative.rpartition("/")[2].partition(".")[0]
        return stem == "__init__" and fullname.rpartition(".")[2] != "__init__"

    def get_filename(self, fullname=None):
        # type: (str | None) -> str
        """Return the file of the module. Does not read ``path``, which an application can set.

        Raises:
            ImportError: ``fullname`` is another module, as in CPython's file loaders. Callers that
                execute a module or read its source call this first.
        """
        if fullname is not None and fullname != self.name:
            raise ImportError(f"loader for {self.name} cannot handle {fullname}", name=fullname)
        return self._file

    def get_data(self, path):
        # type: (str) -> bytes
        """Return the verified bytes of a file of this plugin, by its absolute path.

        Raises:
            OSError: it is not a file of the verified tree.
            PluginImportRefused: it changed after it was verified.
        """
        relative = self._tree.relative(os.path.normpath(path))
        if relative not in self._tree.files:
            raise FileNotFoundError(2, "not a file of the verified plugin", path)
        try:
            return self._access.read(self._tree, relative, self.name)
        except ImportError as error:
            error.__traceback__ = None  # its frames are the guard's own
            raise


def _trimmed(function):
    # type: (Method) -> Method
    """Return a method whose frames CPython trims from tracebacks, like those of importlib.

    ``remove_importlib_frames`` (``Python/import.c``) compares the file name of the code.
    """
    code: CodeType = function.__code__
    name = _start.get_code.__code__.co_filename
    function.__code__ = code.replace(co_filename=name)
    return function


class _Importlib:
    """Stand for importlib's own module in ``_source_to_code``."""

    _call_with_frames_removed = staticmethod(_start.call)


def _with_own_names(function):
    # type: (FunctionType) -> Any
    """Return a function of importlib that looks up no name in importlib or ``builtins``.

    Threat: another thread replaces ``compile`` for a moment, between the check for that and the
    look-up. Rule: call what was bound at start-up. The code, and so its frames in tracebacks, are
    importlib's own.
    """
    names = {"__builtins__": {}, "_bootstrap": _Importlib, "compile": _start.compile_source}
    copy = type(function)(function.__code__, names, None, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


_source_to_code = _with_own_names(_start.source_to_code)


class VerifiedSourceLoader(VerifiedFileLoader):
    """The loader of a module that is compiled from the buffer that was hashed.

    Threat: applications replace methods of loaders to trace imports. Rule: trust neither the
    methods nor the type of a loader. ``source_to_code`` notes each code object that it makes from
    verified bytes. The audit hook compares all other code before it runs.
    """

    __class__ = registered_class("SourceLoader", "FileLoader")

    exec_module = _start.exec_module

    # CPython's own, for the tracebacks. It calls path_stats to find out if there can be bytecode,
    # reads the source through get_data, and compiles by source_to_code.
    get_code = _start.get_code

    @_trimmed
    def source_to_code(self, data, path, *arguments, **named):
        # type: (bytes, str, *Any, **Any) -> CodeType
        """Compile source by CPython's own function, and note the code if the source is verified."""
        pack = self._access.pack(self._tree)
        if pack is not None:
            pack.count_compiled(self._relative)
        self._prepare()
        code = _source_to_code(self, data, path, *arguments, **named)
        # get_data may have been replaced, so the bytes are compared once more.
        is_verified = type(data) is bytes and file_digest(data) == self._digest()
        self._note(code, is_verified=is_verified)
        return code  # type: ignore[no-any-return]

    def is_package(self, fullname):
        # type: (str) -> bool
        self.get_filename(fullname)
        return super().is_package(fullname)

    def path_stats(self, path):
        # type: (str) -> dict[str, int]
        """Keep ``get_code`` from looking for a ``.pyc`` and from writing one.

        Raises:
            OSError: always, because ``get_code`` treats it as the absence of bytecode.
        """
        raise OSError("bytecode is never looked for by its path")

    def _cache_bytecode(self, source_path, cache_path, data):
        # type: (str, str, bytes) -> None
        """Write nothing, even if a replaced ``path_stats`` returns a time."""

    def _digest(self):
        # type: () -> bytes
        return self._tree.files[self._relative][0]

    def _note(self, code, *, is_verified):
        # type: (CodeType, bool) -> None
        is_verified = is_verified and self.belongs_to(self._access)
        self._access.note_code(code, self._file, is_verified=is_verified)

    def _prepare(self):
        # type: () -> None
        """Refuse to compile this module if a primitive was replaced."""
        replaced = replaced_primitive()
        if replaced is not None:
            refused = kinds.unverified_code(
                self._tree.plugin,
                self.path,
                f"{replaced} is not the interpreter's own, and could make other code of it",
                remedy=f"find what replaces {replaced}, and import plugins before it does",
            )
            self._access.refuse(refused, self.name)

    def get_source(self, fullname):
        # type: (str) -> str | None
        """Return the verified source, or None if the file has changed since.

        Debuggers and crash reporters call this to show code. No code runs, so this refuses and
        reports nothing, and never ends the process.
        """
        self.get_filename(fullname)
        data = self._access.bytes_to_show(self._tree, self._relative)
        return None if data is None else decode_source(data)


class VerifiedBytecodeLoader(VerifiedSourceLoader):
    """The loader of a module whose code is in the pack of its plugin.

    This is a separate class because its ``get_code`` is not CPython's, so the traceback of a syntax
    error would show it. Compiled code has no syntax error.
    """

    def get_code(self, fullname):
        # type: (str) -> CodeType | None
        path = self.get_filename(fullname)
        pack = self._access.pack(self._tree)
        code = None if pack is None else pack.code(self._relative, path)
        if code is None:
            return super().get_code(fullname)  # type: ignore[no-any-return]
        self._prepare()
        self._note(code, is_verified=True)
        return code


def replaced_primitive():
    # type: () -> str | None
    """Return the first replaced function between verified bytes and the code that runs, or None.

    ``SourceLoader.get_code`` and ``exec_module`` (``Lib/importlib/_bootstrap_external.py``) look
    these up each time. None means that all are those of the start of the interpreter.
    """
    for namespace, name, held in _start.HELD:
        if namespace.get(name) is not held:
            return f"{namespace.get('__name__', '?')}.{name}"
    for function, code in _start.CODES:
        if function.__code__ is not code:
            return f"the code of importlib's {function.__name__}"
    return None
