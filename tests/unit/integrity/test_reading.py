"""A file of a verified tree is read once, and only the verified bytes are returned."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.integrity import walk
from codegenie.integrity.reading import read_verified
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.refusals.record import Refusal
from tests.fixtures.trees import Application, oracle

HELPER = b"VALUE = 1\n"


@pytest.fixture
def helper(application: Application) -> Path:
    return application.write("alpha/helper.py", HELPER)


@pytest.fixture
def tree(application: Application, helper: Path) -> VerifiedTree:
    root = str(application.root)
    return VerifiedTree(root, "alpha", walk.walk(root, "alpha").unwrap())


def refused(tree: VerifiedTree, **options: str) -> Refusal:
    return read_verified(tree, "helper.py", **options).unwrap_err()


def test_verified_bytes_are_returned(tree: VerifiedTree) -> None:
    assert read_verified(tree, "helper.py").unwrap() == HELPER


def as_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


@pytest.mark.parametrize(
    ("replace", "kind", "detail"),
    [
        pytest.param(lambda path: path.symlink_to("api.py"), "symlink_escape", "", id="link"),
        pytest.param(
            lambda path: path.symlink_to("nowhere"), "symlink_escape", "", id="dangling-link"
        ),
        pytest.param(os.mkfifo, "unhashable_tree", "is a FIFO", id="fifo"),
        pytest.param(os.mkdir, "unhashable_tree", "is a folder", id="folder"),
        pytest.param(as_socket, "unhashable_tree", "cannot be opened", id="socket"),
    ],
)
def test_another_kind_of_entry_is_refused_as_in_a_walk(
    tree: VerifiedTree, helper: Path, replace: Callable[[Path], None], kind: str, detail: str
) -> None:
    helper.unlink()
    replace(helper)
    refusal = refused(tree)
    assert (refusal.kind, refusal.offending_path) == (kind, str(helper))
    assert refusal.evidence.get("detail", "").startswith(detail)


@pytest.mark.parametrize("missing", ["file", "folder"])
def test_a_missing_file_is_named_as_removed(
    application: Application, tree: VerifiedTree, helper: Path, missing: str
) -> None:
    if missing == "file":
        helper.unlink()
    else:
        application.plugin.rename(application.folder / "moved")
        application.plugin.write_text("")
    refusal = refused(tree)
    assert refusal.kind == "integrity_mismatch"
    assert refusal.expected == tree.digest
    assert refusal.differences is not None
    assert (refusal.differences.changed, refusal.differences.removed) == ((), ("helper.py",))


def test_a_changed_file_is_named_with_the_digest_it_makes(
    application: Application, tree: VerifiedTree, helper: Path
) -> None:
    helper.write_bytes(HELPER.replace(b"1", b"2"))
    refusal = refused(tree)
    assert refusal.kind == "integrity_mismatch"
    assert (refusal.expected, refusal.actual) == (tree.digest, oracle(application.plugin))
    assert refusal.differences is not None
    assert (refusal.differences.changed, refusal.differences.removed) == (("helper.py",), ())


def test_a_grown_file_is_read_one_byte_further(
    application: Application, tree: VerifiedTree, helper: Path
) -> None:
    """Read enough to refuse a file of any size, in bounded memory."""
    helper.write_bytes(HELPER + b"#" * 100)
    actual = refused(tree).actual
    helper.write_bytes(HELPER + b"#")
    assert actual == oracle(application.plugin)


@pytest.mark.parametrize("name", ["helper.py", "../alpha/helper.py", "hard-link"])
def test_a_name_of_the_same_file_is_accepted(
    application: Application, tree: VerifiedTree, helper: Path, name: str
) -> None:
    os.link(helper, application.plugin / "hard-link")
    data = read_verified(tree, "helper.py", opened_as=str(application.plugin / name)).unwrap()
    assert data == HELPER


@pytest.mark.parametrize("name", ["api.py", "missing.py", "nul\0byte", "link/../helper.py"])
def test_a_name_of_another_file_is_refused(
    application: Application, tree: VerifiedTree, name: str
) -> None:
    """``link/..`` is another folder for the system than for a text, which drops both parts."""
    elsewhere = application.folder / "elsewhere"
    (elsewhere / "folder").mkdir(parents=True)
    (elsewhere / "helper.py").write_bytes(HELPER)
    (application.plugin / "link").symlink_to(elsewhere / "folder")
    opened_as = f"{application.plugin}/{name}"
    refusal = refused(tree, opened_as=opened_as)
    assert (refusal.kind, refusal.plugin) == ("unverified_code", "alpha")
    assert refusal.offending_path == opened_as


def test_a_spelling_that_opens_no_file_does_not_decide(
    application: Application, tree: VerifiedTree
) -> None:
    """The order in which the two spellings are tried is another one in each process."""
    for number in range(20):
        opened_as = f"{application.plugin}/missing{number}/../helper.py"
        assert read_verified(tree, "helper.py", opened_as=opened_as).unwrap() == HELPER
    assert refused(tree, opened_as=f"{application.plugin}/missing.py").kind == "unverified_code"


def test_a_folder_has_its_files_and_is_none(tree: VerifiedTree) -> None:
    assert tree.file_at("helper.py") == "helper.py"
    assert (tree.file_at(""), tree.file_at("missing.py")) == (None, None)


def test_a_unit_that_is_one_file_is_at_the_empty_path_alone(application: Application) -> None:
    root = str(application.root)
    path = application.write("tool.py", HELPER)
    unit = VerifiedTree(root, "tool.py", walk.walk(root, "tool.py").unwrap())
    assert (unit.file_at(""), unit.file_at("tool.py")) == ("tool.py", None)
    assert unit.path_of("tool.py") == str(path)
    assert read_verified(unit, "tool.py").unwrap() == HELPER
    assert unit.files["tool.py"][0] == hashlib.sha256(HELPER).digest()
