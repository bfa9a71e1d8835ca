"""Code that a function of the standard library makes itself, and code of its caller."""

from __future__ import annotations

from types import FrameType, ModuleType

import pytest

from codegenie._enforce.executions import _generates_code
from codegenie._start.finder import STANDARD_LIBRARY

MODULE = ModuleType("plugins.alpha.helper")


def frame_of(value: object, file: str = "made.py", name: str = "made") -> FrameType:
    """Return the frame of a function that has a value in a variable."""
    names: dict[str, object] = {"__name__": name}
    source = "import sys\ndef run(value): return sys._getframe()"
    exec(compile(source, f"{STANDARD_LIBRARY}{file}", "exec"), names)
    frame = names["run"](value)  # type: ignore[operator]
    assert isinstance(frame, FrameType)
    return frame


@pytest.mark.parametrize("module", [MODULE, None])
def test_the_standard_library_generates_code(module: ModuleType | None) -> None:
    assert _generates_code(frame_of("Point"), module)


@pytest.mark.parametrize("value", [MODULE, vars(MODULE)], ids=["module", "namespace"])
def test_code_for_the_module_is_that_of_the_caller(value: object) -> None:
    assert not _generates_code(frame_of(value), MODULE)
    assert _generates_code(frame_of(value), None)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("site-packages/made.py", "made"),
        ("dist-packages/made.py", "made"),
        ("../made.py", "runpy"),
        ("cProfile.py", "cProfile"),
    ],
)
def test_other_functions_execute_code_of_their_callers(file: str, name: str) -> None:
    assert not _generates_code(frame_of("Point", file, name), MODULE)


def test_the_interpreter_itself_generates_no_code() -> None:
    assert not _generates_code(None, MODULE)
