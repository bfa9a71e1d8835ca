"""Modules of the guard that ``find_spec`` loads under the global import lock."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codegenie._start import finder
from codegenie._start.finder import late_module

NAME = "codegenie._start.loaders"


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the module be loaded in a test as in a fresh interpreter."""
    monkeypatch.setattr(finder, "late_modules", {})
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield
    sys.modules.pop(NAME, None)


def test_late_module_is_loaded_while_another_thread_holds_its_import_lock() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with importlib._bootstrap._ModuleLockManager(NAME):  # type: ignore[attr-defined]
            held.set()
            done.wait(timeout=120)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(timeout=60)
    found: list[Any] = []
    loading = threading.Thread(target=lambda: found.append(late_module("loaders")), daemon=True)
    loading.start()
    loading.join(timeout=60)
    done.set()
    thread.join()
    assert [module.__name__ for module in found] == [NAME]


def test_late_module_is_loaded_without_other_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.setattr(sys, "path_hooks", [])
    assert late_module("loaders").__file__ == str(Path(finder.__file__).with_name("loaders.py"))


def test_late_module_is_one_for_all_threads() -> None:
    barrier = threading.Barrier(8)
    found: list[Any] = []

    def load() -> None:
        barrier.wait()
        found.append(late_module("loaders"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {id(module) for module in found} == {id(sys.modules[NAME])}


def test_late_module_that_is_missing_is_no_absent_plugin() -> None:
    with pytest.raises(ImportError, match="cannot load its own code") as caught:
        late_module("absent")
    assert not isinstance(caught.value, ModuleNotFoundError)
