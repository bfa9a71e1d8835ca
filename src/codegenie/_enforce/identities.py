"""Remember objects by their identity, for as long as they live."""

from _weakref import ref

from codegenie._start import identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401


class IdentityMap:
    """A mapping from objects, compared by identity, to values.

    A ``WeakKeyDictionary`` compares by hash and ``==``, but two equal code objects can do different
    things.
    """

    __slots__ = ("_known",)

    def __init__(self, known=None):
        # type: (dict[int, tuple[ref[Any], Any]] | None) -> None
        """Create an empty mapping. ``known`` is an empty dictionary that a caller can inspect."""
        self._known = {} if known is None else known

    def add(self, item, value=True):
        # type: (object, object) -> None
        """Remember ``value`` for an object. An object without weak references is not remembered."""

        # Bound here, because a shutdown may empty this module first.
        def forget(reference, known=self._known, number=identity_of(item)):  # noqa: B008
            # type: (ref[Any], dict[int, tuple[ref[Any], Any]], int) -> None
            entry = known.get(number)
            if entry is not None and entry[0] is reference:
                del known[number]

        try:
            self._known[identity_of(item)] = ref(item, forget), value
        except TypeError:
            return

    def get(self, item):
        # type: (object) -> Any
        """Return the value of this very object, or None."""
        entry = self._known.get(identity_of(item))
        return None if entry is None or entry[0]() is not item else entry[1]

    def has(self, item):
        # type: (object) -> bool
        """Return True if there is a value for this very object."""
        return self.get(item) is not None
