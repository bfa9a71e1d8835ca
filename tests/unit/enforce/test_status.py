"""The status before a guard is installed."""

from __future__ import annotations

from codegenie._enforce.status import GuardStatus


def test_without_a_guard_each_value_is_the_first() -> None:
    assert GuardStatus().as_dict() == {
        "active": False,
        "bytecode": {},
        "folders": [],
        "lock": None,
        "log": None,
        "mode": "enforce",
        "on_refusal": "raise",
        "pinned": False,
        "refused": [],
        "root": None,
        "scope": "all",
        "strict": True,
        "trust": None,
        "verified": {},
    }
