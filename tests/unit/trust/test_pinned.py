"""The trust settings that code pins."""

from __future__ import annotations

from typing import Any

import pytest

from codegenie.trust import pinned

DIGEST = "0f" * 32
POLICY = {"policy": "/etc/plugins/policy.json", "sha256": DIGEST}


@pytest.mark.parametrize(
    ("more", "of_folder"),
    [
        ({}, {}),
        ({"floor": None, "statement": None}, {}),
        ({"floor": 0, "statement": ""}, {}),
        ({"floor": 1}, {"floor": 1}),
        ({"at": "install", "statement": DIGEST}, {"statement": DIGEST}),
    ],
)
def test_settings_are_completed(more: dict[str, Any], of_folder: dict[str, Any]) -> None:
    of_all = {**POLICY, "at": more.get("at", "start")}
    assert pinned.checked({**POLICY, **more}) == ({"trust": of_all}, of_folder)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"floor": -1}, "floor"),
        ({"floor": True}, "floor"),
        ({"floor": "1"}, "floor"),
        ({"at": "never"}, "at"),
        ({"at": "install"}, "statement"),
        ({"statement": DIGEST[1:]}, "statement"),
        ({"statement": DIGEST.upper()}, "statement"),
        ({"sha256": None}, "sha256"),
        ({"sha256": DIGEST + "0"}, "sha256"),
        ({"policy": ""}, "policy"),
        ({"signers": 2}, "signers"),
    ],
)
def test_a_setting_that_is_not_valid_is_named(more: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        pinned.checked({**POLICY, **more})
