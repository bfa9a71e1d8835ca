"""Serve ``importlib.resources`` from verified bytes. Loaded when a resource is first read."""

import io
import os
import posixpath
import sys
from importlib.resources.abc import Traversable, TraversableResources
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from codegenie._enforce.access import Access
    from codegenie._enforce.enforcer import Enforcer
    from codegenie.integrity.verified_tree import VerifiedTree


class VerifiedReader(TraversableResources):
    """The resources beside a module of a verified tree."""

    def __init__(self, access: "Access", tree: "VerifiedTree", folder: str, module: str) -> None:
        self._root = VerifiedEntry(access, tree, folder, module)

    def files(self) -> "VerifiedEntry":
        return self._root


class VerifiedEntry(Traversable):
    """A file or folder of a verified tree. A file that is not in the tree does not exist."""

    def __init__(self, access: "Access", tree: "VerifiedTree", path: str, module: str) -> None:
        self._access = access
        self._tree = tree
        self._path = path
        self._module = module

    @property
    def name(self) -> str:
        return posixpath.basename(self._path) or self._tree.plugin

    def is_file(self) -> bool:
        return self._path in self._tree.files

    def is_dir(self) -> bool:
        return self._path in self._tree.folders

    def iterdir(self) -> "Iterator[VerifiedEntry]":
        if not self.is_dir():
            error = NotADirectoryError if self.is_file() else FileNotFoundError
            raise error(f"{self} is not a folder of the verified plugin")
        start = f"{self._path}/" if self._path else ""
        known = {*self._tree.files, *self._tree.folders}
        children = {
            p[len(start) :].partition("/")[0] for p in known if p.startswith(start) and p != start
        }
        for child in sorted(children - {""}):
            yield self.joinpath(child)

    def joinpath(self, *descendants: "str | os.PathLike[str]") -> "VerifiedEntry":
        # Normalised, so that "../" can lead to another folder of the plugin, as it can on disk;
        # a path that leaves the plugin is simply in no tree.
        path = posixpath.normpath(posixpath.join(self._path, *descendants))
        return VerifiedEntry(self._access, self._tree, "" if path == "." else path, self._module)

    def __truediv__(self, child: "str | os.PathLike[str]") -> "VerifiedEntry":
        return self.joinpath(child)

    def read_bytes(self) -> bytes:
        if self._path not in self._tree.files:
            raise FileNotFoundError(2, "not a file of the verified plugin", str(self))
        return self._access.read(self._tree, self._path, self._module)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        with self.open("r", encoding=encoding or "utf-8", errors=errors) as stream:
            text: str = stream.read()
            return text

    def open(self, mode: str = "r", *args: "Any", **kwargs: "Any") -> "Any":
        """Open for reading, ``"r"`` or ``"rb"``; other arguments as for ``io.TextIOWrapper``."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"a verified resource is opened with 'r' or 'rb', not {mode!r}")
        stream = io.BytesIO(self.read_bytes())
        if mode == "rb":
            return stream
        if not args:
            kwargs["encoding"] = kwargs.get("encoding") or "utf-8"
        return io.TextIOWrapper(stream, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, VerifiedEntry)
            and other._tree is self._tree
            and other._path == self._path
        )

    def __hash__(self) -> int:
        return hash((self._tree.base, self._path))

    def __str__(self) -> str:
        return self._tree.path_of(self._path)

    def __repr__(self) -> str:
        return f"<verified {str(self)!r}>"


class RootReader(TraversableResources):
    """The resources of the package ``plugins``: the folders of what is locked."""

    def __init__(self, enforcer: "Enforcer", root: str, *, is_namespace: bool) -> None:
        self._root = (NamespaceFolder if is_namespace else RootFolder)(enforcer, root)

    def files(self) -> "RootFolder":
        return self._root


class RootFolder(Traversable):
    """The guarded folder. It holds what is locked, and nothing else that is on the disk there."""

    def __init__(self, enforcer: "Enforcer", root: str) -> None:
        self._enforcer = enforcer
        self._root = root

    @property
    def name(self) -> str:
        return posixpath.basename(self._root)

    def is_file(self) -> bool:
        return False

    def is_dir(self) -> bool:
        return True

    def iterdir(self) -> "Iterator[Traversable]":
        for unit in self._enforcer.locked_plugins():
            yield self.joinpath(unit)

    def joinpath(self, *descendants: "str | os.PathLike[str]") -> "Traversable":
        """Return what a path below leads to. The unit that it leads into is verified now.

        Raises:
            PluginImportRefused: the unit does not pass.
        """
        path = posixpath.normpath(posixpath.join("", *descendants))
        if path == ".":
            return self
        unit, _, below = path.partition("/")
        module = self._enforcer.name_of(unit)
        tree = self._enforcer.verified_tree(unit, module)
        if tree is not None and tree.is_file:
            # A single file is named by its own name in its tree.
            path = f"{tree.plugin}/{below}" if below else tree.plugin
            return VerifiedEntry(self._enforcer, tree, path, module)
        if tree is not None:
            return VerifiedEntry(self._enforcer, tree, below, module)
        if self._enforcer.mode == "audit":
            return Path(self._root, path)
        return Absent(f"{self._root}/{path}")

    def __truediv__(self, child: "str | os.PathLike[str]") -> "Traversable":
        return self.joinpath(child)

    def read_bytes(self) -> bytes:
        raise IsADirectoryError(21, "Is a directory", self._root)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        raise IsADirectoryError(21, "Is a directory", self._root)

    def open(self, mode: str = "r", *args: "Any", **kwargs: "Any") -> "Any":
        raise IsADirectoryError(21, "Is a directory", self._root)

    def __str__(self) -> str:
        return self._root

    def __repr__(self) -> str:
        return f"<verified {self._root!r}>"


class NamespaceFolder(RootFolder):
    """The guarded folder where it has no ``__init__.py``: what ``MultiplexedPath`` is elsewhere."""

    if sys.version_info < (3, 12):

        def joinpath(self, child: "str | os.PathLike[str]") -> "Traversable":  # type: ignore[override]
            return super().joinpath(child)

        # CPython's own takes one name on these versions. A program that passes several must fail
        # in the same way with the guard and without it.
        joinpath.__qualname__ = "MultiplexedPath.joinpath"


class Absent(Traversable):
    """A path that leads to nothing that is locked."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return posixpath.basename(self._path)

    def is_file(self) -> bool:
        return False

    def is_dir(self) -> bool:
        return False

    def iterdir(self) -> "Iterator[Traversable]":
        raise self._error()

    def joinpath(self, *descendants: "str | os.PathLike[str]") -> "Absent":
        return Absent(posixpath.join(self._path, *descendants))

    def __truediv__(self, child: "str | os.PathLike[str]") -> "Absent":
        return self.joinpath(child)

    def read_bytes(self) -> bytes:
        raise self._error()

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        raise self._error()

    def open(self, mode: str = "r", *args: "Any", **kwargs: "Any") -> "Any":
        raise self._error()

    def _error(self) -> OSError:
        return FileNotFoundError(2, "nothing that is locked", self._path)

    def __str__(self) -> str:
        return self._path


if sys.version_info < (3, 12):
    # as_file copies files only; from 3.12 on, folders as well.
    import contextlib
    import shutil
    import tempfile
    from importlib.resources import as_file

    _of_files = as_file.dispatch(Traversable)  # type: ignore[attr-defined]

    def _as_file(path: "Traversable") -> "contextlib.AbstractContextManager[Path]":
        """Return a context manager whose value is a copy of a file or of a folder on the disk."""
        if path.is_dir():
            return _copy_of_folder(path)
        copy: contextlib.AbstractContextManager[Path] = _of_files(path)
        return copy

    @contextlib.contextmanager
    def _copy_of_folder(folder: "Traversable") -> "Iterator[Path]":
        above = Path(tempfile.mkdtemp())
        try:
            yield _write(folder, above)
        finally:
            shutil.rmtree(above)

    def _write(entry: "Traversable", above: Path) -> Path:
        path = above / entry.name
        if entry.is_dir():
            path.mkdir()
            for child in entry.iterdir():
                _write(child, path)
        else:
            path.write_bytes(entry.read_bytes())
        return path

    as_file.register(VerifiedEntry, _as_file)  # type: ignore[attr-defined]
    as_file.register(RootFolder, _as_file)  # type: ignore[attr-defined]
