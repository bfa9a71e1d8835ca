"""No plugins is a valid state, and the one that this repository ships."""

from __future__ import annotations

from pathlib import Path

from codegenie.plugins.loader import LoadReport, load_plugins
from codegenie.plugins.lockfile import LockFile
from tests.fixtures.plugins.loader_fixtures import write_lock

SHIPPED = Path(__file__).parents[3] / "plugins"


def test_empty_lock_with_no_plugins_loads_nothing(root: Path) -> None:
    root.mkdir()
    loaded = load_plugins(root, write_lock(root, {}))
    assert loaded.unwrap() == LoadReport(loaded=(), total_walked=0)


def test_the_committed_lock_pins_no_plugin_and_loads() -> None:
    """It pins the package's own empty file, so that the lock is up to date."""
    assert (SHIPPED / "__init__.py").read_bytes() == b""
    assert set(LockFile.from_path(SHIPPED / "PLUGINS.lock").unwrap().root) == {"__init__.py"}
    assert load_plugins(SHIPPED, SHIPPED / "PLUGINS.lock").unwrap().loaded == ()
