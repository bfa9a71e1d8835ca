"""``Result[T, E]``: a value or a typed failure, as plain classes.

The classes are plain because the enforcement path uses them, and importing ``typing`` and
``dataclasses`` takes longer than all other modules of a guarded import.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NoReturn, TypeAlias, TypeVar

    T = TypeVar("T", covariant=True)
    E = TypeVar("E", covariant=True)

    class _OfValue(Generic[T]): ...

    class _OfError(Generic[E]): ...

else:

    class _OfValue:
        """Can be subscripted at run time. Type checkers see a real ``Generic``."""

        __slots__ = ()

        def __class_getitem__(cls, item):
            return cls

    _OfError = _OfValue


class Ok(_OfValue["T"]):
    """A success. ``unwrap()`` returns its value."""

    __slots__ = ("value",)
    __match_args__ = ("value",)
    value: "T"

    def __init__(self, value: "T") -> None:
        self.value = value

    def is_ok(self) -> bool:
        return True

    def is_err(self) -> bool:
        return False

    def unwrap(self) -> "T":
        return self.value

    def unwrap_err(self) -> "NoReturn":
        raise RuntimeError(f"unwrap_err() on a success: {self.value!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is Ok and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((Ok, self.value))

    def __repr__(self) -> str:
        return f"Ok({self.value!r})"


class Err(_OfError["E"]):
    """A failure. ``unwrap()`` raises; ``unwrap_err()`` returns the evidence.

    ``exception`` is raised by ``unwrap()`` if it explains more than the evidence alone. It is not
    compared or hashed.
    """

    __slots__ = ("error", "exception")
    __match_args__ = ("error",)
    error: "E"

    def __init__(self, error: "E", exception: "Exception | None" = None) -> None:
        self.error = error
        self.exception = exception

    def is_ok(self) -> bool:
        return False

    def is_err(self) -> bool:
        return True

    def unwrap(self) -> "NoReturn":
        if self.exception is not None:
            raise self.exception
        raise RuntimeError(f"unwrap() on a failure: {self.error!r}")

    def unwrap_err(self) -> "E":
        return self.error

    def __eq__(self, other: object) -> bool:
        return type(other) is Err and bool(self.error == other.error)

    def __hash__(self) -> int:
        return hash((Err, self.error))

    def __repr__(self) -> str:
        return f"Err({self.error!r})"


if TYPE_CHECKING:
    Result: TypeAlias = Ok[T] | Err[E]
else:

    class Result:
        """``Result[T, E]`` in an annotation. Values are always an ``Ok`` or an ``Err``."""

        def __class_getitem__(cls, item):
            return Ok | Err
