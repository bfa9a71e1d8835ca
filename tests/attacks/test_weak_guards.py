"""The checks of the catalogue can fail: two guards that are not good enough do not pass them."""

from __future__ import annotations

import pytest

from tests.attacks.catalogue import CATALOGUE
from tests.attacks.controls import CONTROLS
from tests.attacks.runner import compare, run, scratch

ATTACKS = {attack.name: attack for attack in CATALOGUE}
CONTROL = CONTROLS[0]

# One of each group.
PAST_THE_DIGEST = (
    "tree/root-init",
    "bytecode/unchecked-hash",
    "precedence/earlier-on-the-path",
    "timing/before-its-import",
    "entries/link-to-code",
    "lock/duplicate-key",
    "displacement/spec-of-changed",
    "primitives/hashlib-sha256",
    "swallowed/hasattr",
)


@pytest.mark.parametrize("name", PAST_THE_DIGEST)
def test_a_guard_that_only_checks_the_digest_lets_the_payload_run(name: str) -> None:
    with scratch() as folder:
        verdict = run(ATTACKS[name], folder, "digest-only")
    assert (verdict.unguarded, verdict.guarded, verdict.executed) == ("ran", "EXECUTED", True)
    assert verdict.problems


def test_a_guard_that_only_checks_the_digest_does_check_it() -> None:
    """It fails where it is weak, and not because it does nothing at all."""
    with scratch() as folder:
        assert run(ATTACKS["tree/one-byte"], folder, "digest-only").problems == ()
    with scratch() as folder:
        assert compare(CONTROL, folder, "digest-only") == []


@pytest.mark.parametrize("name", PAST_THE_DIGEST)
def test_a_guard_that_refuses_everything_is_wrong_about_everything(name: str) -> None:
    with scratch() as folder:
        verdict = run(ATTACKS[name], folder, "refuses-everything")
    assert verdict.unguarded == "ran"
    assert verdict.problems


def test_a_guard_that_refuses_everything_refuses_what_is_in_order() -> None:
    with scratch() as folder:
        verdict = run(ATTACKS["tree/changed"], folder, "refuses-everything")
    assert not verdict.executed
    assert "the repaired tree does not import" in verdict.problems[-1]


def test_a_guard_that_refuses_everything_fails_the_controls() -> None:
    with scratch() as folder:
        assert compare(CONTROL, folder, "refuses-everything")
