"""Remember objects by their identity, for as long as they live."""

from _weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class IdentityMap:
    """What is known about objects, by which object it is.

    A ``WeakKeyDictionary`` looks objects up by hash and ``==``, and two code objects that are equal
    can do different things.
    """

    __slots__ = ("_known",)

    def __init__(self, known: "dict[int, tuple[ref[Any], Any]] | None" = None) -> None:
        """Begin with nothing. ``known`` is an empty dictionary in which others can see that."""
        self._known = {} if known is None else known

    def add(self, item: object, value: object = True) -> None:
        """Remember ``value`` for an object. An object without weak references is not remembered."""

        # Bound: when the interpreter ends, it may empty this module first.
        def forget(
            reference: "ref[Any]",
            known: "dict[int, tuple[ref[Any], Any]]" = self._known,
            number: int = id(item),
        ) -> None:
            entry = known.get(number)
            if entry is not None and entry[0] is reference:
                del known[number]

        try:
            self._known[id(item)] = ref(item, forget), value
        except TypeError:
            return

    def get(self, item: object) -> "Any":
        """Return what is remembered for this very object, or None."""
        entry = self._known.get(id(item))
        return None if entry is None or entry[0]() is not item else entry[1]

    def has(self, item: object) -> bool:
        """Return True if anything is remembered for this very object."""
        return self.get(item) is not None
