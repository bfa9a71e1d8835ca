"""From what a start found to one word."""

from __future__ import annotations

from typing import Any

import pytest

from codegenie.activation.files import MODULE, PTH, SITECUSTOMIZE, FileOwner
from codegenie.activation.probe import RanActivation, Start
from codegenie.activation.verdict import GuardState, verdict_of

OURS = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="guarded")
BROKEN = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="ImportError: gone")
UNFINISHED = RanActivation(file=f"/env/{SITECUSTOMIZE}", state="")
ELSEWHERE = RanActivation(file=f"/other/{SITECUSTOMIZE}", state="guarded")

ENFORCING = {"active": True, "pinned": True, "mode": "enforce"}
AUDITING = {"active": True, "pinned": True, "mode": "audit"}
UNPINNED = {"active": True, "pinned": False, "mode": "enforce"}
INACTIVE = {"active": False}

INSTALLED: dict[str, FileOwner] = {SITECUSTOMIZE: "ours"}
BY_PTH: dict[str, FileOwner] = {MODULE: "ours", PTH: "ours", SITECUSTOMIZE: "foreign"}


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


CASES: list[tuple[Start, dict[str, FileOwner], GuardState, str | None]] = [
    (start(ENFORCING, OURS), INSTALLED, GuardState.ENFORCING, None),
    (start(AUDITING, OURS), INSTALLED, GuardState.AUDITING, None),
    (start(ENFORCING, OURS, before_guard="Finder"), INSTALLED, GuardState.ENFORCING, "Finder"),
    (start(ENFORCING, ELSEWHERE), INSTALLED, GuardState.ENFORCING, "instead of"),
    (start(ENFORCING, ELSEWHERE), {}, GuardState.ENFORCING, None),
    (start(UNPINNED), {}, GuardState.NOT_PINNED, None),
    (start(INACTIVE), {}, GuardState.NOT_INSTALLED, None),
    (start(INACTIVE), {SITECUSTOMIZE: "foreign"}, GuardState.NOT_INSTALLED, None),
    (start(INACTIVE, BROKEN), INSTALLED, GuardState.REFUSING, "ImportError: gone"),
    (start(ENFORCING, BROKEN), INSTALLED, GuardState.REFUSING, "ImportError: gone"),
    (start(ENFORCING, OURS, BROKEN), INSTALLED, GuardState.REFUSING, "ImportError: gone"),
    (start(INACTIVE, UNFINISHED), INSTALLED, GuardState.REFUSING, "did not finish"),
    (
        start(INACTIVE, OURS, broken="ImportError: x"),
        INSTALLED,
        GuardState.REFUSING,
        "ImportError: x",
    ),
    (start(INACTIVE, OURS), INSTALLED, GuardState.NOT_RUNNING, "switched it off"),
    (
        start(INACTIVE, sitecustomize="/agent/sitecustomize.py"),
        INSTALLED,
        GuardState.NOT_RUNNING,
        "/agent/sitecustomize.py",
    ),
    (start(INACTIVE), {MODULE: "ours"}, GuardState.NOT_RUNNING, MODULE),
    (start(INACTIVE), {SITECUSTOMIZE: "edited"}, GuardState.NOT_RUNNING, SITECUSTOMIZE),
    (start(INACTIVE, sitecustomize="/env/sitecustomize.py"), BY_PTH, GuardState.NOT_RUNNING, PTH),
]


@pytest.mark.parametrize(("found", "present", "state", "reason"), CASES)
def test_verdict_of(
    found: Start, present: dict[str, FileOwner], state: GuardState, reason: str | None
) -> None:
    verdict = verdict_of(found, present)
    assert verdict.state is state
    if reason is None:
        assert verdict.reason is None
    else:
        assert verdict.reason is not None
        assert reason in verdict.reason


def test_only_a_guard_that_decides_is_active() -> None:
    active = {state for state in GuardState if state.is_active}
    assert active == {GuardState.ENFORCING, GuardState.AUDITING, GuardState.NOT_PINNED}
