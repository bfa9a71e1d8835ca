"""The statement that a lock was accepted by."""

from __future__ import annotations

import time

import pytest

from codegenie.trust.accepted import Vouched
from codegenie.trust.statement import Statement

DAY = 24 * 60 * 60


@pytest.mark.parametrize(
    ("seconds", "days"),
    [(30 * DAY + DAY // 2, 30), (DAY // 2, 0), (-DAY // 2, -1), (None, None)],
)
def test_days_that_are_left_are_whole_days(seconds: int | None, days: int | None) -> None:
    expires = None if seconds is None else int(time.time()) + seconds
    statement = Statement("shop", 1, 0, expires, {"PLUGINS.lock": "0f" * 32})
    assert Vouched(statement, "f0" * 32, ("alice",)).as_dict()["days_left"] == days
