"""Divide the time of a long run among its tests, and print their figures at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endurance import LONG, SECONDS, Rounds

Figures = dict[str, object]
RUNS = pytest.StashKey[list[tuple[str, float, Figures]]]()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Return the figures that this test reports, for the test to fill."""
    made: Figures = {}
    begin = time.monotonic()
    yield made
    runs = request.config.stash.setdefault(RUNS, [])
    runs.append((request.node.name, time.monotonic() - begin, made))
    if LONG:
        print(f"\n{_line(*runs[-1])}", flush=True)


@pytest.fixture
def rounds(request: pytest.FixtureRequest, figures: Figures) -> Rounds:
    """Return the rounds of this test, with its part of the time."""
    repeating = sum("rounds" in getattr(item, "fixturenames", ()) for item in request.session.items)
    made = Rounds(SECONDS / repeating, figures)
    if LONG:
        print(f"\n{request.node.name}: for {made.seconds:.0f} seconds", flush=True)
    return made


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures of every test."""
    if LONG:
        terminalreporter.section("endurance")
        for run in config.stash.get(RUNS, []):
            terminalreporter.write_line(_line(*run))


def _line(name: str, seconds: float, figures: Figures) -> str:
    said = ", ".join(f"{what} {value}" for what, value in figures.items())
    return f"{name:<64} {seconds:6.0f} s  {said}"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a real file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root mounts file systems, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
