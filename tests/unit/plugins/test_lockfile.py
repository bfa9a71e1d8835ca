"""``PLUGINS.lock`` as a model. The format has its own tests, beside the enforcement path."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import RootModel, ValidationError

from codegenie.plugins.errors import LockFileMalformed
from codegenie.plugins.lockfile import LockFile
from codegenie.result import Ok
from tests.fixtures.trees import Application, oracle

A = "a" * 64
B = "b" * 64


def test_a_lock_is_a_mapping_of_ids_to_digests(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_text(json.dumps({"beta": B, "alpha": A}))
    lock = LockFile.from_path(path).unwrap()
    assert isinstance(lock, RootModel)
    assert lock.root == {"alpha": A, "beta": B}
    assert lock.model_dump() == lock.model_dump(mode="json") == {"alpha": A, "beta": B}


def test_a_lock_of_no_plugins_is_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_text("{}\n")
    assert LockFile.from_path(path).unwrap().root == {}


def test_the_path_may_be_text(application: Application) -> None:
    expected = {"alpha": oracle(application.plugin)}
    assert LockFile.from_path(str(application.lock_path)).unwrap().root == expected
    assert LockFile.from_path(application.lock_path) == LockFile.from_path(
        str(application.lock_path)
    )


def test_a_lock_is_frozen(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_text(json.dumps({"alpha": A}))
    lock = LockFile.from_path(path).unwrap()
    with pytest.raises(ValidationError, match="frozen"):
        lock.root = {}  # type: ignore[misc]
    assert lock.root == {"alpha": A}


@pytest.mark.parametrize("entries", [{"a/b": A}, {"alpha": "0"}, {"alpha": A, "PLUGINS.x": B}])
def test_a_lock_that_is_made_by_hand_has_ids_and_digests(entries: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="is not a"):
        LockFile.model_validate(entries)


MALFORMED = {
    "not-json": ("{", "is not JSON: "),
    "duplicate-key": (f'{{"a": "{A}", "a": "{A}"}}', "holds the key 'a' twice"),
    "byte-order-mark": ("\ufeff{}", "starts with a byte order mark"),
    "wrong-type": ("[]", "must be one JSON object"),
    "bad-id": (f'{{"a/b": "{A}"}}', "'a/b' is not a plugin id"),
    "bad-digest": ('{"a": "0"}', "the entry of 'a': '0' is not a SHA-256 digest"),
    "too-deep": ('{"a": {"b": {}}}', "is nested more than 2 deep"),
    "oversize": (" " * (64 * 1024) + "{}", "is larger than 65536 bytes"),
}


@pytest.mark.parametrize(("text", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_lock_is_a_rejection(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_text(text)
    rejection = LockFile.from_path(path).unwrap_err()
    assert type(rejection) is LockFileMalformed
    assert rejection.plugin == "<lockfile>"
    assert rejection.kind == "lock_file_malformed"
    assert rejection.detail.startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "does not exist"),
        ("link", "is a symbolic link, not a regular file"),
        ("fifo", "is a FIFO, not a regular file"),
        ("folder", "is a folder, not a regular file"),
    ],
)
def test_what_is_no_file_is_a_rejection(tmp_path: Path, kind: str, problem: str) -> None:
    (tmp_path / "target").write_text("{}")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    rejection = LockFile.from_path(tmp_path / kind).unwrap_err()
    assert rejection.plugin == "<lockfile>"
    assert rejection.detail == f"{tmp_path / kind}: {problem}"


def test_a_rejection_can_be_printed_wherever_the_lock_lies(tmp_path: Path) -> None:
    """A folder's name need not be UTF-8; the document that ``--json`` prints must be."""
    path = os.path.join(os.fsencode(tmp_path), b"\xff", b"PLUGINS.lock")
    rejection = LockFile.from_path(os.fsdecode(path)).unwrap_err()
    document = json.loads(rejection.model_dump_json())
    assert document["kind"] == "lock_file_malformed"
    assert document["detail"].endswith("PLUGINS.lock: does not exist")


def test_results_are_equal_by_content(application: Application) -> None:
    first = LockFile.from_path(application.lock_path)
    assert first == Ok(LockFile.from_path(application.lock_path).unwrap())
    application.write("alpha/api.py", "x = 1\n")
    application.lock()
    assert LockFile.from_path(application.lock_path) != first
