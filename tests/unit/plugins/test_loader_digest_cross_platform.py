"""The digest covers files byte for byte, and the platform's bytecode does not change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegenie.plugins import loader
from codegenie.plugins.errors import UnhashableTree
from codegenie.plugins.loader import compute_plugin_tree_digest
from codegenie.refusals import kinds
from codegenie.result import Err
from tests.fixtures.plugins.loader_fixtures import make_plugin


def test_lf_and_crlf_differ(tmp_path: Path) -> None:
    unix = make_plugin(tmp_path, "unix", api="a = 1\nb = 2\n")
    dos = make_plugin(tmp_path, "dos", api=None)
    (dos / "plugin.yaml").write_bytes((unix / "plugin.yaml").read_bytes())
    (dos / "api.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    assert compute_plugin_tree_digest(unix) != compute_plugin_tree_digest(dos)
    (dos / "api.py").write_bytes(b"a = 1\nb = 2\n")
    assert compute_plugin_tree_digest(unix) == compute_plugin_tree_digest(dos)


def test_bytecode_does_not_change_the_digest(tmp_path: Path) -> None:
    folder = make_plugin(tmp_path)
    before = compute_plugin_tree_digest(folder).unwrap()
    cache = folder / "sub" / "__pycache__"
    cache.mkdir(parents=True)
    (cache / "x.cpython-311.pyc").write_bytes(b"anything")
    (cache / "not-bytecode.txt").write_bytes(b"anything")
    (folder / "api.pyc").write_bytes(b"anything")
    assert compute_plugin_tree_digest(folder).unwrap() == before


def test_a_folder_above_named_pycache_changes_nothing(tmp_path: Path) -> None:
    plain = make_plugin(tmp_path / "plain")
    odd = make_plugin(tmp_path / "__pycache__")
    assert compute_plugin_tree_digest(plain) == compute_plugin_tree_digest(odd)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    error = compute_plugin_tree_digest(tmp_path / "nothing").unwrap_err()
    assert (error.kind, error.offending_path) == ("unhashable_tree", tmp_path / "nothing")
    assert isinstance(error, UnhashableTree)
    assert error.detail == "does not exist"


def test_another_kind_of_refusal_keeps_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Report a kind that a walk may have one day, and never as a folder that is missing."""
    folder = make_plugin(tmp_path, "alpha")
    refused = kinds.unlocked_plugin(str(tmp_path), "alpha")
    monkeypatch.setattr(loader, "walk_as_the_guard", lambda _: Err(refused))
    error = compute_plugin_tree_digest(folder).unwrap_err()
    assert isinstance(error, UnhashableTree)
    assert (error.plugin, error.offending_path) == ("alpha", folder)
    assert error.detail == refused.reason != "does not exist"
