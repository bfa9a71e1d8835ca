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


def test_the_committed_lock_is_empty_and_loads() -> None:
    assert (SHIPPED / "PLUGINS.lock").read_text() == "{}\n"
    assert (SHIPPED / "__init__.py").read_bytes() == b""
    assert LockFile.from_path(SHIPPED / "PLUGINS.lock").unwrap().root == {}
    assert load_plugins(SHIPPED, SHIPPED / "PLUGINS.lock").unwrap().loaded == ()
