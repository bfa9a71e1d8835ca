"""``GuardedFolder``: a folder that plugins are loaded from, and the lock that pins it."""

from codegenie._start import LOCK_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


class GuardedFolder:
    """A guarded folder, by its paths. The value never changes.

    Attributes:
        root: the folder, absolute. Links in it are not resolved, because a deployment may move one.
        lock: the lock, absolute. It may be outside the folder.
    """

    __slots__ = ("lock", "root")

    def __init__(self, root: str, lock: str) -> None:
        self.root = root
        self.lock = lock

    @classmethod
    def at(
        cls, root: "str | os.PathLike[str]", lock: "str | os.PathLike[str] | None" = None
    ) -> "GuardedFolder":
        """Return the guarded folder of two paths that are relative to the working folder.

        Args:
            root: the folder.
            lock: the lock, if it is not ``PLUGINS.lock`` in the folder.
        """
        import os

        root = os.path.abspath(root)
        return cls(root, os.path.abspath(lock) if lock else f"{root}/{LOCK_NAME}")
