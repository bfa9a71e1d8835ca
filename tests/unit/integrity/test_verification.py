"""The verdicts on a folder and on a module name, and the files that a mismatch names."""

from __future__ import annotations

import json
import os

import pytest

from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import file_list, verification, walk
from codegenie.integrity.walk import Tree
from codegenie.refusals import differences, kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok
from tests.fixtures.trees import Application, oracle


def refuse(root: str, plugin: str, expected: str, found: Tree) -> Refusal:
    """Refuse a tree as another verifier, which claims a digest of its own."""
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


def several(application: Application) -> None:
    """Make a folder with a verdict of each step, in the order of names."""
    application.add_plugin("changed")
    application.add_plugin("good")
    application.write("module.py", "VALUE = 1\n")
    application.lock_units()
    locked = json.loads(application.lock_path.read_text())
    application.lock({**locked, "gone": "0" * 64, "tool.py": "0" * 64})
    application.write("changed/helper.py", "VALUE = 43\n")
    application.write("another/__init__.py", "")
    application.write("stray.pyc", b"")
    application.write("not-importable.txt", "")
    application.write("__init__.py", "")


def verdicts(application: Application, others: str = "refuse") -> list[tuple[str, str]]:
    """Return unit and kind of each verdict. Each refusal has the folder and the lock it is of."""
    folder = GuardedFolder(str(application.root), str(application.lock_path), "plugins", others)
    found = []
    for verdict in verification.verify_root(folder):
        if isinstance(verdict, Ok):
            found.append((verdict.value.plugin, "verified"))
        else:
            assert (verdict.error.root, verdict.error.lock) == (folder.root, folder.lock)
            assert verdict.error.lock_written is not None or not application.lock_path.exists()
            found.append((verdict.error.plugin, verdict.error.kind))
    return found


LEFT_ALONE = [
    ("alpha", "verified"),
    ("changed", "integrity_mismatch"),
    ("gone", "missing_plugin_directory"),
    ("good", "verified"),
    ("module.py", "verified"),
    ("tool.py", "missing_plugin_directory"),
]


def test_a_folder_has_one_verdict_for_each_locked_or_importable_entry(
    application: Application,
) -> None:
    several(application)
    unlocked = [("another", "unlocked_plugin"), ("stray.pyc", "unlocked_plugin")]
    assert verdicts(application) == sorted(LEFT_ALONE + unlocked)
    assert verdicts(application, "leave") == LEFT_ALONE


@pytest.mark.parametrize("others", ["refuse", "leave"])
def test_a_lock_that_cannot_be_used_is_the_only_verdict(
    application: Application, others: str
) -> None:
    several(application)
    application.lock_path.unlink()
    assert verdicts(application, others) == [("<lockfile>", "lock_file_malformed")]


def test_a_folder_that_cannot_be_listed_is_the_only_verdict(application: Application) -> None:
    lock = application.lock_path.rename(application.folder / "PLUGINS.lock")
    application.root.rename(application.folder / "moved")
    folder = GuardedFolder(str(application.root), str(lock))
    (verdict,) = verification.verify_root(folder)
    assert isinstance(verdict, Err)
    named = verification.verify_named(folder, "beta")
    assert named.unwrap_err().kind == verdict.error.kind
    assert named.unwrap_err().lock == verdict.error.lock == str(lock)


@pytest.mark.parametrize(
    ("name", "others", "outcome"),
    [
        ("good", "refuse", ["good"]),
        ("module", "refuse", ["module.py"]),
        ("module.py", "refuse", ["module.py"]),
        ("absent", "refuse", []),
        ("tool", "refuse", "missing_plugin_directory"),
        ("changed", "refuse", "integrity_mismatch"),
        ("another", "refuse", "unlocked_plugin"),
        ("another", "leave", []),
        ("stray", "refuse", "unlocked_plugin"),
    ],
)
def test_a_module_name_has_the_units_that_an_import_can_find(
    application: Application, name: str, others: str, outcome: object
) -> None:
    several(application)
    folder = GuardedFolder(str(application.root), str(application.lock_path), "plugins", others)
    named = verification.verify_named(folder, name)
    if isinstance(named, Ok):
        assert [tree.plugin for tree in named.value] == outcome
    else:
        assert named.error.kind == outcome
        assert (named.error.lock, named.error.lock_written is not None) == (folder.lock, True)


def test_units_of_one_module_name_pass_together(application: Application) -> None:
    application.write("alpha.py", "VALUE = 1\n")
    application.lock_units()
    folder = GuardedFolder(str(application.root), str(application.lock_path))
    trees = verification.verify_named(folder, "alpha").unwrap()
    assert [tree.plugin for tree in trees] == ["alpha", "alpha.py"]
    application.write("alpha.py", "VALUE = 2\n")
    assert verification.verify_named(folder, "alpha").unwrap_err().plugin == "alpha.py"


def test_a_unit_has_the_names_of_its_module() -> None:
    units = verification.units_of_module("tool")
    assert units[0] == "tool"
    assert "tool.py" in units
    assert verification.units_of_module("tool.py") == verification.units_of_module("tool")
    assert verification.units_of_module("a.b")[0] == "a.b"
