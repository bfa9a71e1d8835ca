"""Build the release, and an environment with its requirements and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import release


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that ``make release`` has just made, or one of our own."""
    made = os.environ.get("CODEGENIE_RELEASE")
    if made is not None:
        return Path(made).absolute()
    folder = tmp_path_factory.mktemp("released")
    release.release(folder)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return a virtual environment with the pinned dependencies, without ``codegenie``."""
    folder = tmp_path / "environment"
    release.install_dependencies(folder)
    return folder
