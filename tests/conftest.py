"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.trees import Application


@pytest.fixture
def application(tmp_path: Path) -> Application:
    """An application with one locked plugin, valid until the test breaks it."""
    folder = tmp_path / "application"
    folder.mkdir()
    return Application(folder)
