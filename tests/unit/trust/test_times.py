"""Times of statements: one form, and only those that a calendar has."""

from __future__ import annotations

from calendar import isleap
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie.trust import times

LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


@settings(deadline=None)
@given(st.integers(0, LAST))
def test_a_time_is_written_and_read_as_datetime_does(seconds: int) -> None:
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert times.render(seconds) == text.zfill(20)
    assert times.parse(text.zfill(20)) == seconds


def test_the_days_where_years_and_months_turn_are_those_of_the_calendar() -> None:
    """Compare more than 400 years, because the calendar repeats itself after that."""
    turns = ((1, 1), (2, 28), (2, 29), (3, 1), (12, 31))
    for year, (month, day) in product(range(1970, 2405), turns):
        if day == 29 and not isleap(year):
            continue
        there = datetime(year, month, day, 23, 59, 59, tzinfo=UTC)
        text = f"{year}-{month:02}-{day:02}T23:59:59Z"
        assert times.render(int(there.timestamp())) == text
        assert times.parse(text) == there.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-28",
        "2026-11-28T18:15:45",
        "2026-11-28T18:15:45z",
        "2026-11-28 18:15:45Z",
        "2026-11-28T18:15:45+00:00",
        "2026-11-28T18:15:45.0Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T24:00:00Z",
        "\uff12026-01-01T00:00:00Z",
        1795904000,
        None,
    ],
)
def test_another_form_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"time|year"):
        times.parse(text)


@pytest.mark.parametrize("seconds", [-1, LAST + 1])
def test_a_time_of_another_year_is_not_written(seconds: int) -> None:
    with pytest.raises(ValueError, match="year"):
        times.render(seconds)
