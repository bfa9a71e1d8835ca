"""The loader of the guard's own modules."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

import codegenie
from codegenie._start import finder, loaders
from codegenie._start.finder import Claim, GuardFinder, late_module
from codegenie._start.loaders import OwnLoader

OWN = str(Path(codegenie.__file__).with_name("text.py"))


def test_own_module_is_known_to_the_audit_hook() -> None:
    guard = GuardFinder()
    code = OwnLoader("codegenie.text", OWN, guard).get_code("codegenie.text")
    assert code is not None
    assert guard.own_code is code


@pytest.mark.parametrize("spelled", ["{folder}/evil.py", "{own}/../{up}{folder}/evil.py"])
def test_file_elsewhere_is_not_taken_for_an_own_module(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "evil.py").write_text("")
    own = Path(OWN).parent
    path = spelled.format(folder=tmp_path, own=own, up="../" * (len(own.parts) - 2))
    guard = GuardFinder()
    assert OwnLoader("codegenie.text", path, guard).get_code("codegenie.text") is not None
    assert guard.own_code is None


def test_own_module_in_a_guarded_folder_is_not_taken_for_one() -> None:
    guard = GuardFinder()
    guard.claims = (Claim(guard, {"root": str(Path(OWN).parent)}),)
    guard.refresh()
    assert OwnLoader("codegenie.text", OWN, guard).get_code("codegenie.text") is not None
    assert guard.own_code is None


def test_own_module_is_found_with_its_own_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "_late_modules", {"loaders": loaders})
    spec = GuardFinder().find_spec("codegenie.text")
    assert spec is not None
    assert (type(spec.loader), spec.origin) == (OwnLoader, OWN)
    assert spec.cached == sys.modules["codegenie.text"].__spec__.cached  # type: ignore[union-attr]


def test_file_that_shrinks_while_it_is_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "read", lambda descriptor, size: b"")
    data = OwnLoader("codegenie.text", OWN, GuardFinder()).get_data(OWN)
    assert data == Path(OWN).read_bytes()


@pytest.mark.parametrize("enabled", [True, False])
def test_new_enforcer_leaves_garbage_collection_as_it_was(enabled: bool) -> None:
    guard = GuardFinder()
    guard.own_code = OwnLoader("codegenie.text", OWN, guard).get_code("codegenie.text")
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        late_module("loaders").new_enforcer(guard.claims[0])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert guard.own_code is None
