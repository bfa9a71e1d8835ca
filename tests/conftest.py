"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.trees import Application

# No example fails for the time it takes: a machine that is busy makes any of them slow.
# The same examples on every run in CI; new ones elsewhere.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("any speed"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "any speed")


@pytest.fixture
def application(tmp_path: Path) -> Application:
    """Return an application with one locked plugin, valid until the test breaks it."""
    folder = tmp_path / "application"
    folder.mkdir()
    return Application(folder)
