"""``importlib.resources`` over verified bytes. Loaded when somebody asks for a resource."""

import io
import posixpath
from importlib.resources.abc import Traversable, TraversableResources

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import Any

    from codegenie.plugins._enforce.cache import VerifiedTree
    from codegenie.plugins._enforce.loaders import Access


class VerifiedReader(TraversableResources):
    """The resources beside a module of a verified tree."""

    def __init__(self, access: "Access", tree: "VerifiedTree", folder: str, module: str) -> None:
        self._root = VerifiedEntry(access, tree, folder, module)

    def files(self) -> "VerifiedEntry":
        return self._root


class VerifiedEntry(Traversable):
    """A file or folder of a verified tree. What the tree does not hold does not exist."""

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
