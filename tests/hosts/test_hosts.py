"""Real hosts with their own loaders: intact plugins run, and nothing else does.

Each host is in an environment of its own. Only the light hosts are part of every run, unless
``HOSTS=all``. ``HOSTS_ENVIRONMENTS`` names a folder that keeps the environments. ``make hosts``
runs the same states of all hosts, and writes the table of the documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import driver
from tests.hosts.host import Host, Layout
from tests.hosts.table import HOSTS

CHOSEN = [host for host in HOSTS if host.is_light or os.environ.get("HOSTS") == "all"]

Make = Callable[[Host], driver.Environment]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that makes the environment of a host, or returns the one that it made."""
    kept = os.environ.get("HOSTS_ENVIRONMENTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("hosts")

    made: dict[str, driver.Environment] = {}

    def make(host: Host) -> driver.Environment:
        if host.python and shutil.which(f"python{host.python}") is None:
            pytest.skip(f"{host.title} needs Python {host.python}")
        if host.name not in made:
            made[host.name] = driver.Environment(host, folder)
        return made[host.name]

    return make


def cases(*states: str) -> list[object]:
    """Return every host, layout and state. One worker runs all cases of a host."""
    return [
        pytest.param(
            host,
            layout,
            state,
            id=f"{host.name}, {layout.name}, {state}",
            marks=pytest.mark.xdist_group(host.name),
        )
        for host in CHOSEN
        for layout in host.layouts
        for state in states
    ]


@pytest.mark.parametrize(("host", "layout", "state"), cases(*driver.STATES))
def test_host_runs_intact_plugins_only(
    environment: Make, host: Host, layout: Layout, state: str, tmp_path: Path
) -> None:
    plain, guarded = (
        driver.run(environment(host), layout, state, tmp_path / name, guarded=name == "guarded")
        for name in ("plain", "guarded")
    )
    expected = layout.outcome(state)
    assert (plain.ran, guarded.ran, sorted(guarded.kinds)) == expected, (plain, guarded)


@pytest.mark.parametrize(("host", "layout", "state"), cases("exit"))
def test_exit_ends_the_host_with_the_command(
    environment: Make, host: Host, layout: Layout, state: str, tmp_path: Path
) -> None:
    done = driver.run_to_exit(environment(host), layout, tmp_path)
    assert done.problem_of_exit(layout) is None, done
