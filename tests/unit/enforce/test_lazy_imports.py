"""The modules whose lazy imports are resolved are those of this project."""

from __future__ import annotations

import types
from importlib.machinery import ModuleSpec

import pytest

from codegenie._enforce import lazy_imports


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("codegenie", True),
        ("codegenie._start.finder", True),
        ("codegenie_plugin", False),
        ("host.codegenie", False),
        ("", False),
        (3, False),
        (None, False),
    ],
)
def test_only_modules_of_this_project_are_own(name: object, own: bool) -> None:
    assert lazy_imports._is_own(name) is own


def test_only_a_module_that_is_being_executed_is_left_out() -> None:
    module = types.ModuleType("made")  # without a spec
    assert lazy_imports._is_executing(module) is False
    module.__spec__ = ModuleSpec("made", None)
    assert lazy_imports._is_executing(module) is False
    vars(module.__spec__)["_initializing"] = True
    assert lazy_imports._is_executing(module) is True


class Pending:
    """As ``types.LazyImportType`` of Python 3.15."""

    def __init__(self, value: object) -> None:
        self.resolve = lambda: value


def test_only_names_that_are_lazy_are_resolved() -> None:
    first, second = types.ModuleType("first"), types.ModuleType("second")
    first.pending, first.known = Pending(1), 2  # type: ignore[attr-defined]
    second.known = [3]  # type: ignore[attr-defined]
    known = second.known
    assert lazy_imports._resolve([first, second], Pending) is True
    assert (first.pending, first.known) == (1, 2)
    assert lazy_imports._resolve([first, second], Pending) is False
    assert second.known is known
