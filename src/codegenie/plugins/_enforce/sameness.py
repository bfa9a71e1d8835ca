"""Whether a code object is what the interpreter makes of given source bytes.

Tools that read a verified file and compile it themselves (debuggers, coverage, ``runpy.run_path``)
run what was verified; forged bytecode does not. The two are told apart by compiling the verified
bytes as the tool may have done and comparing all that a code object consists of. ``==`` on code
objects is no such comparison: it leaves out the stack size, for one (``code_richcompare`` in
``Objects/codeobject.c``).
"""

import __future__

import sys

from codegenie import primitives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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

_CODE = type(primitives.compile_source("", "", "exec"))

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


def compiles_to(source: bytes, code: "CodeType") -> bool:
    """Whether ``code`` is the module, or a function or class body of the module, in ``source``.

    Whoever compiled it may have had ``from __future__`` imports in force (``compile`` hands them
    down, and the code's flags tell) and may have asked for any optimisation level.
    """
    for level in dict.fromkeys((sys.flags.optimize, 0, 1, 2)):
        try:
            module: CodeType = primitives.compile_source(
                source,
                code.co_filename,
                "exec",
                flags=code.co_flags & _FUTURES,
                dont_inherit=True,
                optimize=level,
            )
        except (SyntaxError, ValueError):
            return False
        if any(same_code(candidate, code) for candidate in _with_nested(module)):
            return True
    return False


def same_code(one: "CodeType", other: "CodeType") -> bool:
    """Whether two code objects consist of the same parts, to the last constant."""
    return all(getattr(one, f) == getattr(other, f) for f in _FIELDS) and _same_constant(
        one.co_consts, other.co_consts
    )


def _same_constant(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False  # 1, 1.0 and True are equal, and not the same program
    if type(one) is _CODE:
        return same_code(one, other)  # type: ignore[arg-type]
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same_constant, one, other))
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        # Constants of a set literal: as many, and to each an equal one of the same type.
        return {(type(c), repr(c)) for c in one} == {(type(c), repr(c)) for c in other}
    if isinstance(one, float | complex):
        return repr(one) == repr(other)  # 0.0 and -0.0 are equal; nan is not equal to itself
    return one == other


def _with_nested(code: "CodeType") -> "Iterator[CodeType]":
    yield code
    for constant in code.co_consts:
        if type(constant) is _CODE:
            yield from _with_nested(constant)
