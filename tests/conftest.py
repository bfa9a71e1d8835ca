"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fixtures.trees import Application

# The same examples on every run in CI; new ones elsewhere.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def application(tmp_path: Path) -> Application:
    """Return an application with one locked plugin, valid until the test breaks it."""
    folder = tmp_path / "application"
    folder.mkdir()
    return Application(folder)
