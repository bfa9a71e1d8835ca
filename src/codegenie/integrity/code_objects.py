"""Check that a code object is what the interpreter compiles from given source bytes.

Tools that read a verified file and compile it themselves (debuggers, coverage, ``runpy.run_path``)
run what was verified; forged bytecode does not. To distinguish them, this module compiles the
verified bytes as the tool may have done, and compares every part of the two code objects. ``==`` is
not enough: it ignores the stack size, for example (``code_richcompare`` in
``Objects/codeobject.c``).
"""

import __future__

import _warnings
import sys
from _thread import get_ident
from _weakref import ref

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

_FIELDS = (
    "co_name",
    "co_qualname",
    "co_filename",
    "co_firstlineno",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_nlocals",
    "co_stacksize",
    "co_flags",
    "co_code",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_linetable",
    "co_exceptiontable",
)

_CODE = type(_start.compile_source("", "", "exec"))

_SCALARS = (type(None), bool, int, str, bytes, type(...), type)
"""Types whose ``==`` compares only values of the same type."""

_PICKLE_PROTOCOL = 4

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


def compiles_to(source: bytes, code: "CodeType", *, as_module: bool) -> bool:
    """Return True if ``source`` compiles to ``code``.

    Args:
        as_module: require the module itself, as importlib compiles it in this interpreter.
            Otherwise a tool has compiled it. The tool may use any optimization level, and may run
            one function or class body of the module. Its own ``from __future__`` imports may be in
            force, because ``compile`` inherits them; the flags of the code show which.
    """
    levels = (sys.flags.optimize,) if as_module else (sys.flags.optimize, 0, 1, 2)
    for level in levels:
        try:
            flags = 0 if as_module else code.co_flags & _FUTURES
            module = _compile_silently(source, code.co_filename, flags, level)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return False
        if is_code_of(module, code, as_module=as_module):
            return True
    return False


def is_code_of(module: "CodeType", code: "CodeType", *, as_module: bool) -> bool:
    """Return True if ``code`` equals a module that was compiled from verified bytes.

    Args:
        module: compiled just now, or unmarshalled just now from a verified pack.
        as_module: as for ``compiles_to``; otherwise ``code`` may also be a part of the module.
    """
    for candidate in (module,) if as_module else _with_nested(module):
        if same_code(candidate, code):
            for part in _with_nested(code):
                _keep(part)
            return True
    return False


class _ComparingThread:
    """The pattern of a warning filter. It matches every text in threads that compare code."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def match(self, text: str) -> bool:
        return get_ident() in self.threads


_comparing = _ComparingThread()
_IGNORED = ("ignore", _comparing, Warning, None, 0)


def _after_fork() -> None:
    """Forget the other threads in the child of a fork: a thread there can get the number of one."""
    _comparing.threads[:] = [thread for thread in _comparing.threads if thread == get_ident()]


if hasattr(_start.posix, "register_at_fork"):
    _start.posix.register_at_fork(after_in_child=_after_fork)


def _compile_silently(source: bytes, filename: str, flags: int, level: int) -> "CodeType":
    """Compile without warnings: the tool that compiled the code has already shown them.

    ``warnings.catch_warnings`` would silence other threads as well, or overwrite their filters with
    an old list.
    """
    filters = _warning_filters()
    thread = get_ident()
    filters.insert(0, _IGNORED)
    _comparing.threads.append(thread)
    try:
        code: CodeType = _start.compile_source(
            source, filename, "exec", flags=flags, dont_inherit=True, optimize=level
        )
        return code
    finally:
        _comparing.threads.remove(thread)
        try:
            filters.remove(_IGNORED)
        except ValueError:
            pass  # the application has reset its filters


def _warning_filters() -> "list[tuple[object, ...]]":
    """Return the list of filters that the interpreter consults in this thread."""
    warnings = sys.modules.get("warnings", _warnings)
    # Since 3.14 a context can have filters of its own.
    of_context = getattr(warnings, "_get_filters", None)
    filters = getattr(warnings, "filters", None) if of_context is None else of_context()
    return filters if type(filters) is list else []


_seen: "dict[int, ref[CodeType]]" = {}
"""Code objects that passed the comparison, by ``id``. Before such code is executed again, the
interpreter may have specialized its instructions."""


def _keep(code: "CodeType") -> None:
    """Remember code that passed, for as long as the code object exists.

    A weak reference, because CPython gives the ``id`` of a freed object to a new one. Without it, a
    forged code object could have the ``id`` of one that passed.
    """

    # Bound as defaults, because the interpreter may clear this module first when it ends.
    def forget(
        reference: "ref[CodeType]",
        seen: "dict[int, ref[CodeType]]" = _seen,
        number: int = id(code),
    ) -> None:
        if seen.get(number) is reference:
            del seen[number]

    _seen[id(code)] = ref(code, forget)


def _same_instructions(one: "CodeType", other: "CodeType") -> bool:
    """Return True if both have the same raw instructions, or if ``other`` passed before.

    Threat: ``co_code`` shows instructions as a compiler writes them (``_PyCode_GetCode`` in
    ``Objects/codeobject.c``), but ``marshal`` also loads specialized instructions with their cache.
    A forged cache can read another global than the named one. Rule: compare the raw instructions,
    unless the interpreter itself can have specialized them.
    """
    raw: bytes = other._co_code_adaptive  # type: ignore[attr-defined]
    if raw == one._co_code_adaptive:  # type: ignore[attr-defined]
        return True
    known = _seen.get(id(other))
    return known is not None and known() is other


# Loops below instead of all() or any(), because an application can replace those functions.


def same_code(one: "CodeType", other: "CodeType") -> bool:
    """Return True if two code objects have the same parts, including all constants.

    ``one`` was compiled or unmarshalled just now.
    """
    for field in _FIELDS:
        if getattr(one, field) != getattr(other, field):
            return False
    return (
        _same_instructions(one, other)
        and _variables(one) == _variables(other)
        and _same_constant(one.co_consts, other.co_consts)
    )


def _variables(code: "CodeType") -> list[str]:
    """Return the names of the variables by number, because instructions use the numbers.

    The separate tuples of local, cell and free variables do not show the numbers.
    """
    names = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    by_number: Callable[[int], str] = code._varname_from_oparg  # type: ignore[attr-defined]
    return [by_number(number) for number in range(len(names))]


def _same_constant(one: object, other: object) -> bool:
    """Return True if two constants have the same type and value at every depth.

    ``one`` was compiled just now, so its type is one of the interpreter's own. ``==`` is not
    enough: 1, 1.0 and True are equal, alone or in a slice, but are different programs.
    """
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is _CODE:
        return same_code(one, other)  # type: ignore[arg-type]
    if kind is float or kind is complex:
        return repr(one) == repr(other)  # 0.0 and -0.0 are equal; nan is not equal to itself
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return _same_members(one, other)
    for scalar in _SCALARS:
        if kind is scalar:
            return one == other
    parts, others = _parts(one), _parts(other)
    return parts is not None and others is not None and _same_items(parts, others)


def _same_items(one: "tuple[object, ...]", other: "tuple[object, ...]") -> bool:
    if len(one) != len(other):
        return False
    for number, item in enumerate(one):  # noqa: SIM110  # see above
        if not _same_constant(item, other[number]):
            return False
    return True


def _same_members(one: "frozenset[object]", other: "frozenset[object]") -> bool:
    """Return True if each member of a set literal has the same member in the other literal."""
    if len(one) != len(other):
        return False
    counterparts = {repr(member): member for member in one}
    for member in other:
        # The default, a dictionary, can never equal a member of a set.
        if not _same_constant(counterparts.get(repr(member), counterparts), member):
            return False
    return True


def _parts(value: object) -> "tuple[object, ...] | None":
    """Return the parts of a constant: the items of a tuple, or the data that ``copy`` uses.

    The second case covers a slice, and containers that a later Python adds.

    Returns:
        None for a container without ``__reduce_ex__``, so the code that holds it is refused.
    """
    if isinstance(value, tuple):
        return value
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return tuple(value.items())
    try:
        reduced = value.__reduce_ex__(_PICKLE_PROTOCOL)
    except TypeError:
        return None
    if isinstance(reduced, str):
        return (reduced,)
    # Skip the function that makes the copy; keep its arguments, the state and the items.
    return (*reduced[1:3], *(tuple(items) for items in reduced[3:5] if items is not None))


def _with_nested(code: "CodeType") -> "Iterator[CodeType]":
    yield code
    for constant in code.co_consts:
        if type(constant) is _CODE:
            yield from _with_nested(constant)
