"""``VerifiedTree``: one immutable record per verified plugin.

There is no thread lock, so no other thread can hold one across ``fork``. A record is complete
before one atomic assignment to a dictionary publishes it. Two threads that verify the same plugin
at once do the work twice, and store equal records.
"""

from codegenie.files import as_locked, on_disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.integrity.walk import Files, Tree  # noqa: F401


class VerifiedTree:
    """The files of a unit at the time of verification. Read-only by convention.

    ``digest`` is the tree digest in the lock or, with another verifier, that of the walk.
    ``folders`` holds every folder that has a file somewhere below it. ``base`` is the folder of the
    paths: the unit's own or, if the unit is a single file (``is_file``), the guarded folder. Such a
    unit has one file, called like the unit, and no folder.
    """

    __slots__ = ("base", "digest", "files", "folders", "is_file", "plugin", "root")

    def __init__(self, root, plugin, tree):
        # type: (str, str, Tree) -> None
        self.root = root
        self.plugin = plugin
        self.is_file = tree.is_file
        self.base = root if tree.is_file else f"{root}/{on_disk(plugin)}"
        self.digest = tree.digest
        self.files: Files = tree.files
        self.folders = frozenset() if tree.is_file else _folders(tree.files)

    def file_at(self, relative):
        # type: (str) -> str | None
        """Return the file of the tree at a path below the unit; None if there is none.

        The path is empty for the unit itself, which is a file only if the unit is a single file.
        """
        if self.is_file:
            return self.plugin if not relative else None
        return relative if relative in self.files else None

    def path_of(self, relative):
        # type: (str) -> str
        """Return the absolute path of a file or folder of the tree, as CPython would spell it.

        The names of a tree are UTF-8. If the file system encoding is not (``LC_ALL=C`` without
        coercion), the path is a str with surrogates, as from ``os.fsdecode``.
        """
        if not relative:
            return self.base
        return f"{self.base}/{on_disk(relative)}"

    def relative(self, path):
        # type: (str) -> str
        """Return the name that ``path_of`` takes, or ``""`` for a path outside the tree."""
        if not path.startswith(self.base + "/"):
            return ""
        return as_locked(path[len(self.base) + 1 :])


def _folders(files):
    # type: (Files) -> frozenset[str]
    folders = {""}
    for path in files:
        folder = path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)
