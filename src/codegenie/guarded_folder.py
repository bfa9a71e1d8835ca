"""``GuardedFolder``: a folder that an application loads code from, and the lock that pins it."""

from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os  # noqa: F401

OTHERS = ("refuse", "leave")


class GuardedFolder:
    """A guarded folder: its paths, the names that it claims, and the rule for what is not locked.

    The value never changes.

    Attributes:
        root: the folder, absolute. Links in it are not resolved, because a deployment may move one.
        lock: the lock, absolute. It may be outside the folder.
        package: the package whose modules are the units: a dotted name. ``""``: each unit is a
            top-level module. ``None``: the folder claims no name, and is guarded by path only.
        others: ``"refuse"``: an importable entry that the lock does not name refuses the folder.
            ``"leave"``: only what the lock names is guarded.
    """

    __slots__ = ("lock", "others", "package", "root")

    def __init__(self, root, lock, package=DEFAULT_PACKAGE, others="refuse"):
        # type: (str, str, str | None, str) -> None
        self.root = root
        self.lock = lock
        self.package = package
        self.others = others

    @classmethod
    def at(
        cls,
        root,  # type: str | os.PathLike[str]
        lock=None,  # type: str | os.PathLike[str] | None
        package=DEFAULT_PACKAGE,  # type: str | None
        others="refuse",  # type: str
    ):
        # type: (...) -> GuardedFolder
        """Return the guarded folder of two paths that are relative to the working folder.

        Args:
            root: the folder.
            lock: the lock, if it is not ``PLUGINS.lock`` in the folder.
            package: as the attribute.
            others: as the attribute.
        """
        import os

        root = os.path.abspath(os.fsdecode(root))
        lock = os.path.abspath(os.fsdecode(lock)) if lock else f"{root}/{LOCK_NAME}"
        return cls(root, lock, package, others)

    @property
    def has_default_lock(self):
        # type: () -> bool
        """True if the lock is ``PLUGINS.lock`` in the folder."""
        return self.lock == f"{self.root}/{LOCK_NAME}"

    def _key(self):
        # type: () -> tuple[str, str, str | None, str]
        return self.root, self.lock, self.package, self.others

    def __eq__(self, other):
        # type: (object) -> bool
        return isinstance(other, GuardedFolder) and other._key() == self._key()

    def __hash__(self):
        # type: () -> int
        return hash(self._key())

    def __repr__(self):
        # type: () -> str
        return f"GuardedFolder{self._key()!r}"
