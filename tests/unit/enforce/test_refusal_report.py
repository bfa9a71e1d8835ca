"""Print a refusal that ends the process, with the frames of the application."""

from __future__ import annotations

import pytest

from codegenie._enforce import refusal_report


def test_as_many_frames_as_fit_are_shown_and_always_the_innermost() -> None:
    shown = [refusal_report._application_frames(room) for room in range(40)]
    every = refusal_report._application_frames(10_000)[1:]
    assert len(shown[-1]) < len(every)
    for room, (first, *frames) in enumerate(shown):
        assert first == "Traceback (most recent call last):"
        rows = 1 + sum(map(refusal_report._rows, frames))
        assert rows <= room or len(frames) == 1
        assert rows + refusal_report._rows(every[-len(frames) - 1]) > room


@pytest.mark.parametrize(("length", "rows"), [(0, 1), (1, 1), (80, 1), (81, 2), (160, 2), (161, 3)])
def test_a_long_line_takes_several_rows(length: int, rows: int) -> None:
    assert refusal_report._rows("x" * length) == rows
