"""``VerifiedTree``: one immutable record per verified plugin.

There is no thread lock, so no other thread can hold one across ``fork``. A record is complete
before one atomic assignment to a dictionary publishes it. Two threads that verify the same plugin
at once do the work twice, and store equal records.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.integrity.walk import Files, Tree


class VerifiedTree:
    """The files of a plugin at the time of verification. Read-only by convention.

    ``digest`` is the tree digest in the lock or, with another verifier, that of the walk.
    ``folders`` holds every folder that has a file somewhere below it.
    """

    __slots__ = ("base", "digest", "files", "folders", "plugin", "root")

    def __init__(self, root: str, plugin: str, tree: "Tree") -> None:
        self.root = root
        self.plugin = plugin
        self.base = f"{root}/{plugin}"
        self.digest = tree.digest
        self.files: Files = tree.files
        self.folders = _folders(tree.files)

    def path_of(self, relative: str) -> str:
        """Return the absolute path of a file or folder of the tree, as CPython would spell it.

        The names of a tree are UTF-8. If the file system encoding is not (``LC_ALL=C`` without
        coercion), the path is a str with surrogates, as from ``os.fsdecode``.
        """
        if not relative:
            return self.base
        if not relative.isascii():
            relative = os.fsdecode(relative.encode("utf-8"))
        return f"{self.base}/{relative}"

    def relative(self, path: str) -> str:
        """Return the name that ``path_of`` takes, or ``""`` for a path outside the tree."""
        if not path.startswith(self.base + "/"):
            return ""
        relative = path[len(self.base) + 1 :]
        if relative.isascii():
            return relative
        try:
            return os.fsencode(relative).decode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return relative  # a literal in source code, which is text already


def _folders(files: "Files") -> frozenset[str]:
    folders = {""}
    for path in files:
        folder = path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)
