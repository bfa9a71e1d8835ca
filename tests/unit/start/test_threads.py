"""``sys.meta_path`` changes between any two instructions of the guard, as by another thread."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from codegenie._start import finder as finder_module
from codegenie._start.checks import restore_to_front
from codegenie._start.finder import Claim, GuardFinder, is_at_front, move_to_front


class Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        return None


@pytest.fixture
def finders(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Others' finders alone on ``sys.meta_path``."""
    present: list[Any] = [Finder(), Finder()]
    monkeypatch.setattr(sys, "meta_path", present)
    monkeypatch.setattr(finder_module, "the_guard", [])
    return present


def interrupted(function: Callable[[], object], change: Callable[[], object], at: int) -> bool:
    """Call ``function`` and make ``change`` before instruction number ``at`` of this module's code.

    Returns:
        True if there are that many.
    """
    passed = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != finder_module.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == at:
                change()
        return trace

    before = sys.gettrace()
    # CPython 3.12 reports instructions only if a frame asked for them before tracing began.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return passed >= at


def each_moment(
    make: Callable[[], tuple[Callable[[], object], Callable[[], object]]],
) -> Iterator[int]:
    """Interrupt at each instruction in turn; yield after each, for what must hold then."""
    at = 1
    while interrupted(*make(), at):
        yield at
        at += 1
    assert at > 10


def test_is_first_answers_when_the_list_is_emptied(finders: list[Any]) -> None:
    guard = GuardFinder()

    def make() -> tuple[Callable[[], object], Callable[[], object]]:
        finders[:] = [guard, Finder()]
        return lambda: is_at_front(guard), finders.clear

    for _ in each_moment(make):
        assert finders == []


@pytest.mark.parametrize("displaced", [False, True], ids=["removed", "displaced"])
def test_finder_that_is_added_meanwhile_stays(finders: list[Any], displaced: bool) -> None:
    guard, other, added = GuardFinder(), Finder(), Finder()

    def make() -> tuple[Callable[[], object], Callable[[], object]]:
        finders[:] = [other, guard, Finder()] if displaced else [other, Finder()]
        return lambda: move_to_front(guard), lambda: finders.insert(0, added)

    for _ in each_moment(make):
        assert (finders.count(added), finders.count(other)) == (1, 1)
        assert any(finder is guard for finder in finders)
        assert len(finders) in (4, 5)  # the guard may be there twice, where it was moved
        move_to_front(guard)
        assert finders[0] is guard


@pytest.mark.parametrize("displaced", [False, True], ids=["removed", "displaced"])
def test_finder_that_is_removed_meanwhile_does_not_come_back(
    finders: list[Any], displaced: bool
) -> None:
    guard, other, stays = GuardFinder(), Finder(), Finder()

    def make() -> tuple[Callable[[], object], Callable[[], object]]:
        finders[:] = [other, guard, stays] if displaced else [other, stays]
        return lambda: move_to_front(guard), lambda: finders.remove(other)

    for _ in each_moment(make):
        assert finders[0] is guard
        assert finders[-1] is stays
        assert other not in finders


def test_put_back_answers_when_the_list_is_emptied(
    finders: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = GuardFinder()
    told: list[object] = []

    class Rules:
        @staticmethod
        def displaced(enforcers: object, by: str, *, removed: bool, executing: str) -> None:
            told.append((by, removed))

    monkeypatch.setattr(Claim, "enforcer", lambda claim: None)
    guard.strict_rules = Rules

    def make() -> tuple[Callable[[], object], Callable[[], object]]:
        finders[:] = [Finder(), guard]
        return lambda: restore_to_front(guard), finders.clear

    for _ in each_moment(make):
        move_to_front(guard)
        assert finders[0] is guard
    assert told
