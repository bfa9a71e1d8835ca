"""The files that differ are added to each mismatch, and never to anything else."""

from __future__ import annotations

import os

import pytest

from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import file_list, verification, walk
from codegenie.integrity.walk import Tree
from codegenie.refusals import differences, kinds
from codegenie.refusals.record import Refusal
from tests.fixtures.trees import Application, oracle


def refuse(root: str, plugin: str, expected: str, found: Tree) -> Refusal:
    """Another verifier, which accepts nothing and claims a digest of its own."""
    return kinds.INTEGRITY_MISMATCH.refusal(root, plugin, expected=expected, actual="c" * 64)


def verify(application: Application, expected: str, judge: object = None) -> Refusal:
    chosen = refuse if judge is refuse else verification.compare_with_lock
    root = str(application.root)
    return verification.verify_plugin(root, "alpha", expected, chosen).unwrap_err()


@pytest.mark.parametrize("judge", [refuse, verification.compare_with_lock])
def test_a_mismatch_names_files_for_each_verifier(application: Application, judge: object) -> None:
    expected = oracle(application.plugin)
    application.write("alpha/helper.py", "changed = 1\n")
    os.utime(application.plugin / "helper.py", (4_000_000_000, 4_000_000_000))
    refused = verify(application, expected, judge)
    assert refused.differences is None
    assert refused.guess is not None
    assert next(iter(refused.guess.times)) == "helper.py"

    files = walk.walk(str(application.root), "alpha").unwrap().files
    application.write("alpha/helper.py", "VALUE = 42\n")
    locked = oracle(application.plugin)
    application.write_sidecar()
    application.write("alpha/helper.py", "changed = 1\n")
    refused = verify(application, locked, judge)
    assert refused.guess is None
    assert refused.differences is not None
    assert refused.differences.changed == ("helper.py",)
    assert walk.walk(str(application.root), "alpha").unwrap().files == files


def test_of_a_tree_that_is_the_locked_one_no_file_is_suspected(application: Application) -> None:
    refused = verify(application, oracle(application.plugin), refuse)
    assert (refused.differences, refused.guess) == (None, None)


@pytest.mark.parametrize("failing", ["explain", "newer_than_lock"])
def test_an_explanation_that_fails_is_left_out(
    application: Application, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Whatever becomes of it, the verdict stands."""

    def fail(*_: object) -> None:
        raise MemoryError

    expected = oracle(application.plugin)
    application.write("alpha/helper.py", "changed = 1\n")
    home = file_list if failing == "explain" else differences
    monkeypatch.setattr(home, failing, fail)
    refused = verify(application, expected)
    assert (refused.kind, refused.differences, refused.guess) == ("integrity_mismatch", None, None)


def test_a_time_that_cannot_be_looked_up_is_left_out(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(differences, "written", fail)
    application.write("alpha/helper.py", "changed = 1\n")
    folder = GuardedFolder(str(application.root), str(application.lock_path))
    (verdict,) = verification.verify_root(folder)
    refused = verdict.unwrap_err()
    assert (refused.kind, refused.lock_written) == ("integrity_mismatch", None)
    assert "  locked " not in refused.explanation()


def test_what_passes_costs_no_look(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the sidecar is read nor any time looked up where nothing is refused."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("looked up on the way of what passes")

    application.write_sidecar()
    for module, name in (
        (file_list, "read_section"),
        (differences, "newer_than_lock"),
        (differences, "written"),
        (differences, "last_change"),
        (Refusal, "with_context"),
    ):
        monkeypatch.setattr(module, name, fail)
    folder = GuardedFolder(str(application.root), str(application.lock_path))
    (verdict,) = verification.verify_root(folder)
    assert verdict.unwrap().plugin == "alpha"
    (tree,) = verification.verify_named(folder, "alpha").unwrap()
    assert tree.plugin == "alpha"
