"""The command that ``codegenie guard`` gives to type."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from codegenie.cli import guard

ACTIVE = {"root": "/a b", "lock": "/a b/PLUGINS.lock", "scope": "all", "mode": "audit"}


@pytest.mark.parametrize(
    ("active", "python", "options"),
    [
        ({}, sys.executable, "--root ROOT"),
        ({}, "/p q", "--root ROOT --python '/p q'"),
        (ACTIVE, sys.executable, "--root '/a b'"),
        (
            {**ACTIVE, "lock": "/l", "scope": "plugin", "log": "fd:3"},
            "/p",
            "--root '/a b' --lock /l --scope plugin --log fd:3 --python /p",
        ),
    ],
)
def test_it_keeps_what_is_active(active: dict[str, Any], python: str, options: str) -> None:
    assert guard._install_command(active, python) == f"codegenie guard install {options}"
