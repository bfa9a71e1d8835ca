"""A code object is compared with the code that given source compiles to."""

from __future__ import annotations
import __future__

import gc
import marshal
import sys
import threading
import warnings
from collections.abc import Callable
from types import CodeType
from typing import Any

import pytest

from codegenie import _start
from codegenie.integrity import code_objects
from codegenie.integrity.code_objects import compiles_to as _compiles_to
from codegenie.integrity.code_objects import same_code

SOURCE = b'''"""A module."""
import os
CONSTANTS = (1, 1.5, -0.0, "text", b"bytes", None, ..., 3j, {4, 5}, frozenset())

def function(a, /, b, *c, d=1, **e):
    """Doc."""
    assert a, "assertion"
    x = [y for y in b if y in {1, "a", (2, 3)}]
    def inner():
        nonlocal x
        return lambda: x
    try:
        yield from inner()
    except ValueError as error:
        raise KeyError from error

class Class(dict):
    attribute: int = 1
    async def method(self): await self
'''


def compiles_to(source: bytes, code: CodeType) -> bool:
    """As a tool may have compiled it."""
    return _compiles_to(source, code, as_module=False)


def compiled(source: bytes | str, name: str = "m.py", **options: Any) -> CodeType:
    code: CodeType = compile(source, name, "exec", dont_inherit=True, **options)
    return code


@pytest.mark.parametrize("optimize", [-1, 0, 1, 2])
def test_every_optimisation_level_is_recognised(optimize: int) -> None:
    assert compiles_to(SOURCE, compiled(SOURCE, optimize=optimize))


@pytest.mark.parametrize("feature", __future__.all_feature_names)
def test_a_future_that_the_compiling_code_handed_down_is_recognised(feature: str) -> None:
    flag = getattr(__future__, feature).compiler_flag
    source = b"def f(a: int) -> str: return a\nx: int = 1\n"
    assert compiles_to(source, compiled(source, flags=flag))


@pytest.mark.parametrize(
    "text",
    [SOURCE.decode(), SOURCE.decode().replace("\n", "\r\n"), "\ufeff" + SOURCE.decode()],
    ids=["text", "crlf", "bom"],
)
def test_how_the_text_was_read_makes_no_difference(text: str) -> None:
    assert compiles_to(SOURCE, compiled(text.removeprefix("\ufeff")))
    assert compiles_to(text.encode(), compiled(SOURCE))


def test_a_function_body_of_the_module_is_recognised() -> None:
    namespace: dict[str, Any] = {}
    exec(compiled(SOURCE), namespace)
    assert compiles_to(SOURCE, namespace["function"].__code__)
    assert compiles_to(SOURCE, namespace["Class"].method.__code__)


def test_an_unchanged_tree_is_recognized() -> None:
    import ast

    assert compiles_to(SOURCE, compile(ast.parse(SOURCE), "m.py", "exec", dont_inherit=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = (1,)", "x = (True,)"),
        ("x = y in {1}", "x = y in {True}"),
        ("x = 1", "y = 1"),
        ("def f(): return 1", "def f(): return 2"),
        ("def f(a): pass", "def f(*, a): pass"),
        ("x = 1", "\nx = 1"),
        ("try: f()\nexcept A: pass", "try: f()\nexcept B: pass"),
    ],
)
def test_another_program_is_another_program(one: str, other: str) -> None:
    assert not compiles_to(one.encode(), compiled(other))
    assert not compiles_to(other.encode(), compiled(one))


SLICES = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="the compiler makes slices constants from Python 3.14 on"
)


def with_constant(code: CodeType, old: object, new: object) -> CodeType:
    """Return the code with one constant replaced, as in forged bytecode."""
    constants = tuple(new if item == old else item for item in code.co_consts)
    assert constants != code.co_consts or repr(constants) != repr(code.co_consts)
    return code.replace(co_consts=constants)


@SLICES
@pytest.mark.parametrize(
    "forged",
    [
        slice(1.0, 2.0),
        slice(True, 2),
        slice(1, 2, False),
        slice(1, 2, 1),
        (1, 2, None),
    ],
    ids=repr,
)
def test_forged_slice_is_another_program(forged: object) -> None:
    source = b"x = y[1:2]"
    assert not compiles_to(source, with_constant(compiled(source), slice(1, 2), forged))


@SLICES
@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("x = y[1:2, 3:4]", (slice(1, 2), slice(3, 4)), (slice(1, 2), slice(3.0, 4))),
        ("x = y[0.0:]", slice(0.0, None), slice(-0.0, None)),
        ("x = y['a':b'b']", slice("a", b"b"), slice(b"a", "b")),
    ],
)
def test_forged_value_within_a_slice_is_another_program(
    source: str, old: object, new: object
) -> None:
    assert not compiles_to(source.encode(), with_constant(compiled(source), old, new))
    assert compiles_to(source.encode(), compiled(source))


class Opaque:
    """A container of a later Python that nothing here knows: equal to any other of its kind."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque)

    def __hash__(self) -> int:
        return 1


class Items(list[object]):
    """One that gives its items by an iterator."""


class Closed(Opaque):
    """One that cannot be copied."""

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        raise TypeError("cannot pickle")


def holding(constant: object) -> CodeType:
    return compiled("x = 'here'").replace(co_consts=(constant, None))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Opaque(1), Opaque(1.0)),
        (Opaque(Opaque(1)), Opaque(Opaque(True))),
        (Items([1, 2]), Items([1, 2.0])),
        (Closed(1), Closed(2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": True}),
        ([0.0], [-0.0]),
        (frozenset({(1, 2)}), frozenset({(1, 2.0)})),
        (frozenset({1, 2}), frozenset({1})),
        (frozenset({1}), frozenset({None})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_containers_with_other_parts_differ(one: object, other: object) -> None:
    assert not same_code(holding(one), holding(other))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Opaque(1, ("a", 2.0)),
        lambda: Items([1, 2]),
        lambda: [0.0, float("nan")],
        lambda: {"a": frozenset({1, 2})},
        lambda: frozenset({(1, "a"), float("nan"), -0.0, b"x"}),
        lambda: slice(1, -0.0),
        lambda: (1, (2, (3, ...))),
    ],
)
def test_containers_with_the_same_parts_are_the_same(make: Callable[[], object]) -> None:
    assert same_code(holding(make()), holding(make()))


COMPARED = {
    "co_argcount",
    "co_cellvars",
    "co_code",
    "co_consts",
    "co_exceptiontable",
    "co_filename",
    "co_firstlineno",
    "co_flags",
    "co_freevars",
    "co_kwonlyargcount",
    "co_linetable",
    "co_name",
    "co_names",
    "co_nlocals",
    "co_posonlyargcount",
    "co_qualname",
    "co_stacksize",
    "co_varnames",
}
MADE_FROM_THEM = {"co_branches", "co_lines", "co_lnotab", "co_positions"}


def test_no_part_is_new_in_this_python() -> None:
    """Compare a new part too: add it to ``code_objects``, or above if it says nothing new."""
    parts = {name for name in dir(CodeType) if name.startswith("co_")}
    assert parts - MADE_FROM_THEM == COMPARED


@pytest.mark.parametrize(
    "change",
    [
        {"co_stacksize": 99},
        {"co_flags": 0x20},
        {"co_exceptiontable": b""},
        {"co_linetable": b""},
        {"co_qualname": "other"},
        {"co_name": "other"},
        {"co_firstlineno": 7},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_part_of_a_code_object_is_left_out(change: dict[str, Any]) -> None:
    """``==`` on code objects does not look at the stack size, which decides over memory."""
    source = b"try: f()\nexcept A: pass\n"
    code = compiled(source)
    assert same_code(code, code.replace())
    forged = code.replace(**change)
    assert not same_code(code, forged)
    assert not compiles_to(source, forged)


def test_a_forged_part_of_a_nested_code_object_is_noticed() -> None:
    source = b"def f(): return 1"
    code = compiled(source)
    nested = tuple(
        c.replace(co_stacksize=50) if isinstance(c, CodeType) else c for c in code.co_consts
    )
    assert not compiles_to(source, code.replace(co_consts=nested))


CONSTANTS = [1, 1.0, True, 0.0, -0.0, "1", b"1", (1,), (True,), (1, 1), None, ..., 1j, -1j, 1 + 0j]
SETS = [frozenset({1}), frozenset({True}), frozenset({1.0}), frozenset({1, 2}), frozenset()]


@pytest.mark.parametrize("group", [CONSTANTS, SETS], ids=["constants", "sets"])
def test_constants_that_are_equal_are_not_the_same(group: list[object]) -> None:
    """Nothing else differs: the line table must not distinguish them."""
    code = compiled("x = y")
    for one in group:
        for other in group:
            assert same_code(code.replace(co_consts=(one,)), code.replace(co_consts=(other,))) is (
                one is other
            )


def test_a_number_that_is_none_is_the_same_as_itself() -> None:
    code = compiled("x = y")
    one, other = (code.replace(co_consts=(float("nan"),)) for _ in range(2))
    assert same_code(one, other)


FUNCTION = """
def outer(free):
    cell = 1
    def f(a, b=2, /, c=3, *, d=4):
        e = a
        def inner(): return c, cell, free
        return inner, e, b, d
    return f
"""


@pytest.mark.parametrize(
    "change",
    [
        {"co_argcount": 2},
        {"co_posonlyargcount": 1},
        {"co_kwonlyargcount": 0},
        {"co_code": bytes(20)},
        {"co_names": ("other",)},
        {"co_varnames": ("A", "b", "c", "d", "e", "inner")},
        {"co_filename": "other.py"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_part_of_a_function_is_left_out(change: dict[str, Any]) -> None:
    namespace: dict[str, Any] = {}
    exec(compiled(FUNCTION), namespace)
    code = namespace["outer"](1).__code__
    assert same_code(code, code.replace())
    assert not same_code(code, code.replace(**change))


def test_the_order_of_the_variables_counts() -> None:
    """The instructions know variables by number; ``co_varnames`` and the others do not tell it."""
    source = b"def f():\n    x = 1; y = 2\n    def g(): return y\n    return x, g\n"
    code = compiled(source)
    data = marshal.dumps(code, 2)  # without references, so that the names are stored as text

    def as_text(*names: bytes) -> bytes:
        return b"".join(b"u" + (1).to_bytes(4, "little") + name for name in names)

    # The names by number, and behind them of which kind each is: the cell comes last.
    names = as_text(b"x", b"g", b"y")
    at = data.index(names) + len(names)
    assert data[at : at + 5] == b"s\x03\x00\x00\x00"
    kinds = data[at + 5 : at + 8]
    permuted = as_text(b"y", b"x", b"g") + data[at : at + 5] + kinds[2:] + kinds[:2]
    forged = marshal.loads(data.replace(names + data[at : at + 8], permuted))
    one, other = (
        next(c for c in module.co_consts if isinstance(c, CodeType)) for module in (code, forged)
    )
    assert (one.co_varnames, one.co_cellvars) == (other.co_varnames, other.co_cellvars)
    assert not compiles_to(source, forged)  # and it is not run: the interpreter could crash


HOT = b"""
def twice(x):
    return x + x
total = 0
for number in range(1000):
    total += twice(number)
"""


def test_code_that_passed_passes_after_it_was_specialized() -> None:
    """Recognize code whose instructions the interpreter has rewritten, because it runs often."""
    code = compiled(HOT)
    assert compiles_to(HOT, code)
    exec(code, {})
    fresh = compiled(HOT)
    assert code._co_code_adaptive != fresh._co_code_adaptive  # type: ignore[attr-defined]
    assert compiles_to(HOT, code)


def test_code_that_passed_is_forgotten_with_its_object() -> None:
    code = compiled(HOT)
    assert compiles_to(HOT, code)
    number = id(code)
    assert number in code_objects._seen
    del code
    gc.collect()
    assert number not in code_objects._seen


def test_as_a_module_nothing_else_than_the_module_will_do() -> None:
    module = compiled(SOURCE)
    assert _compiles_to(SOURCE, module, as_module=True)
    function = next(c for c in module.co_consts if isinstance(c, CodeType))
    assert not _compiles_to(SOURCE, function, as_module=True)
    other_level = 0 if sys.flags.optimize == 2 else 2
    assert not _compiles_to(SOURCE, compiled(SOURCE, optimize=other_level), as_module=True)
    flag = __future__.annotations.compiler_flag
    assert not _compiles_to(SOURCE, compiled(SOURCE, flags=flag), as_module=True)


def test_source_that_does_not_compile_has_no_code() -> None:
    assert not compiles_to(b"x = ", compiled("x = 1"))
    assert not compiles_to(b"x = '\0'", compiled("x = 1"))


WARNS = b"PATTERN = '\\d'\ndef f(x):\n    return x is 1\n"


def test_comparing_repeats_no_warning() -> None:
    """The first compilation gave the warnings of the code. Filters elsewhere are unchanged."""
    with warnings.catch_warnings(record=True) as before:
        warnings.simplefilter("always")
        code = compile(WARNS, "warns.py", "exec", dont_inherit=True)
    assert before
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        assert _compiles_to(WARNS, code, as_module=True)
        assert not _compiles_to(
            WARNS, compile("x = 1", "warns.py", "exec", dont_inherit=True), as_module=False
        )
        assert said == []
        assert warnings.filters == filters
        compile(WARNS, "warns.py", "exec", dont_inherit=True)
    assert len(said) == len(before)


def test_comparing_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(WARNS, "warns.py", "exec", dont_inherit=True)
        warnings.simplefilter("error")
        assert _compiles_to(WARNS, code, as_module=True)


def test_comparing_silences_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    compile_source = _start.compile_source

    def compile_elsewhere() -> None:
        with pytest.raises(SyntaxError):
            compile(WARNS, "elsewhere.py", "exec")
        said.append("an error there")

    def compile_in_both(*arguments: Any, **options: Any) -> Any:
        # Not within a warning: since 3.14 CPython holds a lock while it consults the filters.
        thread = threading.Thread(target=compile_elsewhere)
        thread.start()
        thread.join()
        return compile_source(*arguments, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(WARNS, "warns.py", "exec", dont_inherit=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(_start, "compile_source", compile_in_both)
        assert _compiles_to(WARNS, code, as_module=True)
    assert said == ["an error there"]
