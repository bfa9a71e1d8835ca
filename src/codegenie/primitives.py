"""References to what an application could replace before the first guarded import, held from the
start of the interpreter.

Library code does replace such things (``os.open`` by a tracer, ``builtins.compile`` by a
transformer), and a guard that looked them up when it needs them would check with somebody else's
eyes. Holding a reference costs nothing: ``posix`` and the frozen importlib are loaded in every
interpreter. What cannot be had for free, hashing and JSON, is loaded later and examined then
(``codegenie.hashing``, ``codegenie.parsers.safe_json``).
"""

import _frozen_importlib
import _frozen_importlib_external
import builtins
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

try:
    import posix as _os
except ImportError:  # Windows: nothing is ever verified there, but importing this must not fail
    import nt as _os  # type: ignore[no-redef]

open_file = _os.open
read = _os.read
write = _os.write
close = _os.close
fstat = _os.fstat
lstat = _os.lstat
scandir = _os.scandir
getcwd = _os.getcwd
pread: "Callable[[int, int, int], bytes]" = getattr(_os, "pread", None)  # type: ignore[assignment]
readv: "Callable[[int, list[memoryview]], int]" = getattr(_os, "readv", None)  # type: ignore[assignment]
compile_source = builtins.compile
execute = builtins.exec

call: "FunctionType" = vars(_frozen_importlib)["_call_with_frames_removed"]
"""What importlib calls ``compile`` and ``exec`` through; tracebacks are trimmed at its frames."""

get_code = _frozen_importlib_external.SourceLoader.get_code
source_to_code = _frozen_importlib_external.SourceLoader.source_to_code
exec_module = _frozen_importlib_external.SourceLoader.exec_module
sourceless_get_code = _frozen_importlib_external.SourcelessFileLoader.get_code
load_unlocked: "FunctionType" = vars(_frozen_importlib)["_load_unlocked"]

BUILTIN_FUNCTION = type(compile_source)
SLOT_WRAPPER = type(object.__init__)

_HELD = (
    (vars(builtins), "compile", compile_source),
    (vars(builtins), "exec", execute),
    (vars(marshal), "loads", marshal.loads),
    (vars(_frozen_importlib), "_call_with_frames_removed", call),
    # A name in importlib's own module would come before the built-in one.
    (vars(_frozen_importlib_external), "compile", None),
    (vars(_frozen_importlib_external), "exec", None),
)


_CODES = [(held, held.__code__) for held in (call, get_code, source_to_code, exec_module)]
"""A function that is held can still be given other code."""


def replaced() -> str | None:
    """What stands between verified bytes and the code that runs, and is not the interpreter's own.

    ``SourceLoader.get_code`` and ``exec_module`` (``Lib/importlib/_bootstrap_external.py``) look
    these up each time. ``None`` if all are as they were when the interpreter started.
    """
    for namespace, name, held in _HELD:
        if namespace.get(name) is not held:
            return f"{namespace.get('__name__', '?')}.{name}"
    for function, code in _CODES:
        if function.__code__ is not code:
            return f"the code of importlib's {function.__name__}"
    return None


def is_builtin_of(function: object, module: str) -> bool:
    """Whether ``function`` is machine code of that module, and not a Python function in its place.

    The type of a built-in function cannot be subclassed or made by Python code.
    """
    return type(function) is BUILTIN_FUNCTION and (
        getattr(function, "__self__", None) is sys.modules.get(module)
    )
