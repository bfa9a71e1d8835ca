"""Check that this interpreter has the internals of CPython on which the guard's rules rely.

Threat: a release of CPython renames or changes an internal, and the guard silently misreads it.
Rule: name each internal here, or in ``codegenie._start`` if a start needs it, and check it before
the first plugin. Consequence: if one is not as expected, no plugin is imported.

``tests/unit/enforce/test_interpreter.py`` checks the same tables, so a new version of CPython fails
one test for each internal that has changed. This module imports only modules that the first plugin
needs anyway.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator  # noqa: F401

INTERNALS = (
    ("_frozen_importlib", "_find_spec"),
    ("_frozen_importlib", "_ModuleLockManager"),
    ("_frozen_importlib_external", "MAGIC_NUMBER"),
    ("_frozen_importlib_external", "_NamespacePath"),
    ("_frozen_importlib_external", "cache_from_source"),
    ("_frozen_importlib_external", "decode_source"),
    ("_imp", "_fix_co_filename"),
    ("_imp", "create_dynamic"),
    ("_imp", "exec_dynamic"),
    ("_json", "encode_basestring_ascii"),
    ("_json", "make_scanner"),
    ("_thread", "RLock"),
    ("_thread", "_count"),
    ("_imp", "lock_held"),
    ("_thread", "allocate_lock"),
    ("_thread", "start_new_thread"),
    ("_weakref", "ref"),
)
"""The names that the guard uses, by module."""

LOADED_ON_USE = frozenset(("_json",))
"""Modules that a small plugin does not need, so they are not loaded to be checked. The code that
loads one of them later checks what it takes (``safe_json.load_scanner``)."""

CODE_ATTRIBUTES = (
    "_co_code_adaptive",
    "_varname_from_oparg",
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
)
"""The attributes by which code objects are compared."""

SCANNER_READS = frozenset(
    (
        "strict",
        "object_hook",
        "object_pairs_hook",
        "array_hook",
        "parse_float",
        "parse_int",
        "parse_constant",
    )
)
"""The attributes that the JSON scanner may read. Another one would be a rule that is not set."""

FRAMES = (
    ("runpy", "_run_code", ("loader", "fname")),
    ("runpy", "_get_code_from_file", ()),
)
"""The variables that the guard reads from frames, by module and function, if that is loaded."""


def unexpected():
    # type: () -> list[str]
    """Return the internals that are missing in this interpreter, or have another shape."""
    found = [*_missing_names(), *_missing_code_attributes(), *_unknown_rules(), *_other_frames()]
    return list(dict.fromkeys(found))


def _missing_names():
    # type: () -> Iterator[str]
    """Yield the functions and classes of CPython that are missing.

    A module that the application has blocked counts as missing: fail closed, with its name.
    """
    for module, name in INTERNALS:
        if module in LOADED_ON_USE and module not in sys.modules:
            continue
        try:
            __import__(module)
        except ImportError:
            yield f"an importable {module}"  # it may be there, and blocked by the application
            continue
        if not hasattr(sys.modules.get(module), name):
            yield f"{module}.{name}"


def _missing_code_attributes():
    # type: () -> Iterator[str]
    code = unexpected.__code__
    for name in CODE_ATTRIBUTES:
        if not hasattr(code, name):
            yield f"the attribute {name!r} of code objects"


class _Rules:
    """Stand in for the rules of a JSON scanner, and note what it reads."""

    def __init__(self):
        # type: () -> None
        self.read: list[str] = []

    def __getattr__(self, name):
        # type: (str) -> None
        self.read.append(name)


def _unknown_rules():
    # type: () -> Iterator[str]
    """Yield each rule that CPython's JSON scanner reads, and ``safe_json`` does not set.

    A new version may add a rule. Its default could accept what the strict reader must refuse.
    """
    make_scanner = getattr(sys.modules.get("_json"), "make_scanner", None)
    if type(make_scanner) is not type:
        return  # missing, or replaced: safe_json refuses a scanner that is not machine code
    rules = _Rules()
    try:
        make_scanner(rules)
    except Exception:
        yield "_json.make_scanner of the known form"
        return
    for name in rules.read:
        if name not in SCANNER_READS:
            yield f"a JSON scanner without the attribute {name!r}"


def _other_frames():
    # type: () -> Iterator[str]
    """Yield the functions whose local variables have other names.

    Strict mode reads these variables from frames. Under another name they would look absent, and a
    loader would not be recognized.
    """
    for module, name, variables in FRAMES:
        if module not in sys.modules:
            continue
        code = getattr(getattr(sys.modules[module], name, None), "__code__", None)
        if code is None:
            yield f"{module}.{name}"
            continue
        for variable in variables:
            if variable not in code.co_varnames:
                yield f"the variable {variable!r} in {module}.{name}"
