"""From what a start found to one word."""

from __future__ import annotations

from typing import Any

import pytest

from codegenie.activation.files import MODULE, PTH, SITECUSTOMIZE, Standing
from codegenie.activation.probe import RanActivation, Start
from codegenie.activation.verdict import State, judge

OURS = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="guarded")
BROKEN = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="ImportError: gone")
UNFINISHED = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="")
ELSEWHERE = RanActivation(file=f"/other/{SITECUSTOMIZE}", state="guarded")

ENFORCING = {"active": True, "pinned": True, "mode": "enforce"}
AUDITING = {"active": True, "pinned": True, "mode": "audit"}
UNPINNED = {"active": True, "pinned": False, "mode": "enforce"}
INACTIVE = {"active": False}

INSTALLED: dict[str, Standing] = {SITECUSTOMIZE: "ours"}
BY_PTH: dict[str, Standing] = {MODULE: "ours", PTH: "ours", SITECUSTOMIZE: "foreign"}


def start(guard: dict[str, Any], *activations: RanActivation, **more: Any) -> Start:
    fields: dict[str, Any] = {
        "executable": "/env/bin/python",
        "version": "3.11.0",
        "folder": "/env",
        "on_path": True,
        "guard": guard,
        "before_guard": None,
        "broken": None,
        "activations": activations,
        "sitecustomize": None,
        "user_site": False,
    }
    return Start(**{**fields, **more})


CASES: list[tuple[Start, dict[str, Standing], State, str | None]] = [
    (start(ENFORCING, OURS), INSTALLED, State.ENFORCING, None),
    (start(AUDITING, OURS), INSTALLED, State.AUDITING, None),
    (start(ENFORCING, OURS, before_guard="Finder"), INSTALLED, State.ENFORCING, "Finder"),
    (start(ENFORCING, ELSEWHERE), INSTALLED, State.ENFORCING, "instead of"),
    (start(ENFORCING, ELSEWHERE), {}, State.ENFORCING, None),
    (start(UNPINNED), {}, State.NOT_PINNED, None),
    (start(INACTIVE), {}, State.NOT_INSTALLED, None),
    (start(INACTIVE), {SITECUSTOMIZE: "foreign"}, State.NOT_INSTALLED, None),
    (start(INACTIVE, BROKEN), INSTALLED, State.REFUSING, "ImportError: gone"),
    (start(ENFORCING, BROKEN), INSTALLED, State.REFUSING, "ImportError: gone"),
    (start(ENFORCING, OURS, BROKEN), INSTALLED, State.REFUSING, "ImportError: gone"),
    (start(INACTIVE, UNFINISHED), INSTALLED, State.REFUSING, "did not finish"),
    (start(INACTIVE, OURS, broken="ImportError: x"), INSTALLED, State.REFUSING, "ImportError: x"),
    (start(INACTIVE, OURS), INSTALLED, State.NOT_RUNNING, "switched it off"),
    (
        start(INACTIVE, sitecustomize="/agent/sitecustomize.py"),
        INSTALLED,
        State.NOT_RUNNING,
        "/agent/sitecustomize.py",
    ),
    (start(INACTIVE), {MODULE: "ours"}, State.NOT_RUNNING, MODULE),
    (start(INACTIVE), {SITECUSTOMIZE: "edited"}, State.NOT_RUNNING, SITECUSTOMIZE),
    (start(INACTIVE, sitecustomize="/env/sitecustomize.py"), BY_PTH, State.NOT_RUNNING, PTH),
]


@pytest.mark.parametrize(("found", "present", "state", "reason"), CASES)
def test_judge(
    found: Start, present: dict[str, Standing], state: State, reason: str | None
) -> None:
    verdict = judge(found, present)
    assert verdict.state is state
    if reason is None:
        assert verdict.reason is None
    else:
        assert verdict.reason is not None
        assert reason in verdict.reason


def test_only_a_guard_that_decides_is_active() -> None:
    active = {state for state in State if state.is_active}
    assert active == {State.ENFORCING, State.AUDITING, State.NOT_PINNED}
