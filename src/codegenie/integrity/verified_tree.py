"""What passed: one immutable record per verified plugin.

There is no lock here. A record is complete before anybody sees it, and it is put in place by one
assignment to a dictionary, which is atomic; two threads that verify the same plugin at once do the
work twice and store the same thing. So nothing can be held by another thread across ``fork``.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.integrity.walk import Files, Tree


class VerifiedTree:
    """A plugin's files as they were when the tree passed. Read-only by convention.

    ``digest`` is the tree digest that the lock pins (or, with another verifier, the one that the
    walk found); ``folders`` holds every folder that has a file somewhere below it.
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
        """The absolute path of a file or folder of the tree, as CPython would spell it.

        The names of a tree are UTF-8. Where the file system encoding is not (``LC_ALL=C`` without
        coercion), a path is a str with surrogates, which ``os.fsdecode`` makes.
        """
        if not relative:
            return self.base
        if not relative.isascii():
            relative = os.fsdecode(relative.encode("utf-8"))
        return f"{self.base}/{relative}"

    def relative(self, path: str) -> str:
        """The way back from ``path_of``; ``""`` for a path outside the tree."""
        if not path.startswith(self.base + "/"):
            return ""
        relative = path[len(self.base) + 1 :]
        if relative.isascii():
            return relative
        try:
            return os.fsencode(relative).decode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return relative  # written out in code, where it is text already


def _folders(files: "Files") -> frozenset[str]:
    folders = {""}
    for path in files:
        folder = path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)
