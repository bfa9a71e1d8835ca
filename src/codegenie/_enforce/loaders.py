"""The importlib loaders of verified modules: what all have in common, and those of source.

``exec_module``, ``get_code`` and ``source_to_code`` are CPython's own functions, because tracebacks
are trimmed only through frames of CPython's files; what is ours is ``get_data``, the one way in
which they get at bytes. ``SourceFileLoader`` is not a base class: it reads by path, looks for
``.pyc`` files and writes them.
"""

import os
from _frozen_importlib import ModuleSpec

# importlib.util re-exports it, but importing that costs three times as much.
from _frozen_importlib_external import decode_source

# What importlib.abc re-exports; that module alone costs more than everything else here.
from importlib._abc import Loader

from codegenie import _start
from codegenie.hashing import file_digest
from codegenie.refusals import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any, Protocol, TypeVar

    from codegenie._enforce.resources import VerifiedReader
    from codegenie.integrity.packs import Pack
    from codegenie.integrity.verified_tree import VerifiedTree
    from codegenie.refusals.record import Refusal

    Method = TypeVar("Method", bound=Callable[..., Any])

    class Access(Protocol):
        """What loaders need of the enforcer: the trees and bytes that passed."""

        mode: str
        verified: dict[str, VerifiedTree]

        def read(self, tree: VerifiedTree, relative: str, module: str) -> bytes: ...

        def bytes_to_show(self, tree: VerifiedTree, relative: str) -> bytes | None: ...

        def pack(self, tree: VerifiedTree) -> Pack | None: ...

        def refuse(self, refused: Refusal, module: str) -> None: ...

        def note_code(self, code: CodeType, path: str, *, is_verified: bool) -> None: ...

        def note_executed(self, module: ModuleType) -> None: ...

        def serve_folder(self, path: str) -> None: ...


class VerifiedLoader(Loader):
    """What the loaders of modules of a verified tree have in common."""

    def __init__(self, access: "Access", tree: "VerifiedTree", name: str, relative: str) -> None:
        self._access = access
        self._tree = tree
        self._relative = relative
        self.name = name
        self.path = self._file = tree.path_of(relative)

    def belongs_to(self, access: "Access") -> bool:
        """Return True if it serves what ``access`` has verified by the lock that counts now.

        Another root or lock can count since (``load_plugins``). What an earlier one vouched for is
        trusted no longer.
        """
        now = access.verified.get(self._tree.plugin)
        return (
            self._access is access
            and now is not None
            and (now.root, now.digest) == (self._tree.root, self._tree.digest)
        )

    def create_module(self, spec: ModuleSpec) -> "ModuleType | None":
        return None

    def get_resource_reader(self, fullname: str) -> "VerifiedReader":
        # importlib.resources is loaded by whoever asks for a reader, and by nobody else.
        from codegenie._enforce.resources import VerifiedReader

        return VerifiedReader(self._access, self._tree, self._folder(), self.name)

    def _folder(self) -> str:
        """The folder of the tree in which the module's resources lie."""
        return self._relative.rpartition("/")[0]

    def __copy__(self) -> "VerifiedLoader":
        """Return the loader itself, because its tree and its access must stay as they are."""
        return self

    def __deepcopy__(self, memo: object) -> "VerifiedLoader":
        return self

    def __reduce__(self) -> "tuple[Any, ...]":
        """Pickle the module's name and folder, and nothing that was verified.

        A pickle can come from an attacker, so what it says is never trusted. Unpickling has the
        guard of the process find the module again (``find_loader``).
        """
        return find_loader, (self.name, self._tree.path_of(self._relative))

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, VerifiedLoader)
            and (other.name, other.path, other._tree) == (self.name, self.path, self._tree)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.path))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} at {self.path!r}>"


def find_loader(name: str, path: str) -> "Loader":
    """Return the loader that the guard of this process gives a module. For unpickling.

    Args:
        name: the module's name.
        path: its file, by which a module is found that is imported by a path in a plugin.

    Raises:
        ImportError: this process has no guard, or the guard finds or lets pass no such module.
    """
    guard = _start.installed()
    if guard is None:
        raise ImportError(
            f"the loader of {name!r} cannot be unpickled, because this process has no plugin "
            "guard: import codegenie.plugins.guard before",
            name=name,
        )
    if _start.is_guarded(name):
        spec = guard.find_spec(name)
    else:
        folder, _, file = path.rpartition("/")
        if file.partition(".")[0] != name.rpartition(".")[2]:
            folder = folder.rpartition("/")[0]  # the file is the package's __init__
        spec = guard.find_folder(folder).find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec.loader


class VerifiedFileLoader(VerifiedLoader):
    """What every loader of a file answers (the optional methods of PEP 302)."""

    def is_package(self, fullname: str) -> bool:
        stem = self._relative.rpartition("/")[2].partition(".")[0]
        return stem == "__init__" and fullname.rpartition(".")[2] != "__init__"

    def get_filename(self, fullname: str | None = None) -> str:
        """Return the file of the module, whatever an application has set ``path`` to.

        Raises:
            ImportError: asked for another module, as CPython's file loaders do. What executes a
                module or reads its source asks here first.
        """
        if fullname is not None and fullname != self.name:
            raise ImportError(f"loader for {self.name} cannot handle {fullname}", name=fullname)
        return self._file

    def get_data(self, path: str) -> bytes:
        """The verified bytes of a file of this plugin, by absolute path (``pkgutil.get_data``).

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


def _trimmed(function: "Method") -> "Method":
    """Return a method whose frames CPython trims from tracebacks, as those of importlib.

    ``remove_importlib_frames`` (``Python/import.c``) goes by the file name of the code.
    """
    code: CodeType = function.__code__
    name = _start.get_code.__code__.co_filename
    function.__code__ = code.replace(co_filename=name)
    return function


class VerifiedSourceLoader(VerifiedFileLoader):
    """Executes a module that is compiled from the buffer that was hashed.

    Applications replace methods of loaders to trace imports. So no method is relied on, and the
    audit hook does not go by the type of the loader: ``source_to_code`` notes each code object that
    it makes of verified bytes, and all other code is compared before it runs.
    """

    __class__ = _start.registered_class("SourceLoader", "FileLoader")

    exec_module = _start.exec_module

    # CPython's own, for the tracebacks. It calls path_stats to learn whether there can be bytecode,
    # reads the source through get_data, and compiles by source_to_code.
    get_code = _start.get_code

    @_trimmed
    def source_to_code(
        self, data: bytes, path: str, *arguments: "Any", **named: "Any"
    ) -> "CodeType":
        """Compile source by CPython's own function, and note the code if the source is verified."""
        pack = self._access.pack(self._tree)
        if pack is not None:
            pack.count_compiled(self._relative)
        self._prepare()
        code = _start.source_to_code(self, data, path, *arguments, **named)
        # get_data may have been replaced, so the bytes are compared once more.
        is_verified = (
            type(data) is bytes
            and file_digest(data) == self._digest()
            and _start.compiles_by_importlib()
        )
        self._note(code, is_verified=is_verified)
        return code  # type: ignore[no-any-return]

    def is_package(self, fullname: str) -> bool:
        self.get_filename(fullname)
        return super().is_package(fullname)

    def path_stats(self, path: str) -> dict[str, int]:
        """Keep ``get_code`` from looking for a ``.pyc`` and from writing one.

        Raises:
            OSError: always. It is how ``get_code`` is told that there is no bytecode.
        """
        raise OSError("bytecode is never looked for by its path")

    def _cache_bytecode(self, source_path: str, cache_path: str, data: bytes) -> None:
        """Write nothing, although ``path_stats`` was replaced by one that gives a time."""

    def _digest(self) -> bytes:
        return self._tree.files[self._relative][0]

    def _note(self, code: "CodeType", *, is_verified: bool) -> None:
        is_verified = is_verified and self.belongs_to(self._access)
        self._access.note_code(code, self._file, is_verified=is_verified)

    def _prepare(self) -> None:
        """Check what must be so before code of this module is made."""
        replaced = what_is_replaced()
        if replaced is not None:
            refused = kinds.unverified_code(
                self._tree.plugin,
                self.path,
                f"{replaced} is not the interpreter's own, and could make other code of it",
                remedy=f"find what replaces {replaced}, and import plugins before it does",
            )
            self._access.refuse(refused, self.name)

    def get_source(self, fullname: str) -> str | None:
        """Return the verified source, or None if the file has changed since.

        Debuggers and crash reporters call it to show code. Nothing runs, so nothing is refused,
        reported or ended.
        """
        self.get_filename(fullname)
        data = self._access.bytes_to_show(self._tree, self._relative)
        return None if data is None else decode_source(data)


class VerifiedBytecodeLoader(VerifiedSourceLoader):
    """Executes a module from the entry that its plugin's pack has for it.

    A class of its own, because its ``get_code`` is none of CPython's and would show in the
    traceback of a syntax error. Code that was compiled before has none.
    """

    def get_code(self, fullname: str) -> "CodeType | None":
        path = self.get_filename(fullname)
        pack = self._access.pack(self._tree)
        code = None if pack is None else pack.code(self._relative, path)
        if code is None:
            return super().get_code(fullname)  # type: ignore[no-any-return]
        self._prepare()
        self._note(code, is_verified=True)
        return code


def what_is_replaced() -> str | None:
    """What stands between verified bytes and the code that runs, and is not the interpreter's own.

    ``SourceLoader.get_code`` and ``exec_module`` (``Lib/importlib/_bootstrap_external.py``) look
    these up each time. ``None`` if all are as they were when the interpreter started.
    """
    for namespace, name, held in _start.HELD:
        if namespace.get(name) is not held:
            return f"{namespace.get('__name__', '?')}.{name}"
    for function, code in _start.CODES:
        if function.__code__ is not code:
            return f"the code of importlib's {function.__name__}"
    return None
