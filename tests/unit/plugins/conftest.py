"""The loader changes the interpreter it runs in; every test here leaves it as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegenie import _start
from codegenie._start.finder import Claim, the_guard
from codegenie.plugins import registry


def _guarded(name: str) -> bool:
    return name == "plugins" or name.startswith("plugins.")


@pytest.fixture(autouse=True)
def interpreter_as_it_was() -> Iterator[None]:
    meta_path = list(sys.meta_path)
    importers = dict(sys.path_importer_cache)
    modules = {name: module for name, module in sys.modules.items() if _guarded(name)}
    for name in modules:
        del sys.modules[name]
    guard = sys.modules.pop("codegenie.plugins.guard", None)
    present = list(the_guard)
    the_guard.clear()
    # An audit hook stays for good, and with it the guard of an earlier test, which is reset here.
    for finder in _start.find_installed_guards():
        finder.claims = (Claim(finder, {}),)
        finder.requested.clear()
        finder.refresh()
        finder.strict = True
    made = registry.remembered()
    registered = registry.default_registry.all()
    yield
    for name in [*filter(_guarded, sys.modules), "__proof_of_import__"]:
        sys.modules.pop(name, None)
    sys.modules.update(modules)
    if guard is not None:
        sys.modules["codegenie.plugins.guard"] = guard
    sys.meta_path[:] = meta_path
    for finder in _start.find_installed_guards():
        finder.strict = False
    the_guard[:] = present
    sys.path_importer_cache.clear()
    sys.path_importer_cache.update(importers)
    registry.restore(made)
    registry.default_registry._plugins = {registry.name_of(p): p for p in registered}


@pytest.fixture(autouse=True, scope="session")
def default_registry_ends_as_it_began() -> Iterator[None]:
    before = registry.default_registry.all()
    yield
    assert registry.default_registry.all() == before


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the path of a test's plugin folder, which does not exist yet."""
    return tmp_path / "plugins"
