"""``GuardedFolder``, and which folders cannot be guarded together."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegenie.folder_problems import names_problem, package_problem, problem_of
from codegenie.guarded_folder import GuardedFolder


def test_folder_has_the_defaults_of_the_rules(tmp_path: Path) -> None:
    folder = GuardedFolder.at(tmp_path)
    assert folder == GuardedFolder(str(tmp_path), f"{tmp_path}/PLUGINS.lock", "plugins", "refuse")
    assert hash(folder) == hash(GuardedFolder.at(tmp_path))
    assert folder != GuardedFolder.at(tmp_path, package=None)


@pytest.mark.parametrize("package", [None, "", "plugins", "custom_components", "a.b.plugins"])
def test_package_of_identifiers_is_accepted(package: str | None) -> None:
    assert package_problem(package) is None


@pytest.mark.parametrize("package", ["a.", ".a", "a..b", "a-b", "a/b", "1", "codegenie.x", 1, b"a"])
def test_package_that_cannot_be_claimed_is_named(package: object) -> None:
    problem = package_problem(package)
    assert problem is not None
    assert repr(package) in problem


@pytest.mark.parametrize("package", ["site", "zipimport", "encodings.x", "__main__", "json"])
def test_package_of_the_interpreter_cannot_be_claimed(package: str) -> None:
    assert f"{package!r} is part of Python" in str(package_problem(package))


def test_separate_folders_have_no_problem(tmp_path: Path) -> None:
    for name in ("a", "ab", "c", "d"):
        (tmp_path / name).mkdir()
    packages = ("plugins", "plugins2", None, "")
    folders = [
        GuardedFolder.at(tmp_path / name, package=package)
        for name, package in zip(("a", "ab", "c", "d"), packages, strict=True)
    ]
    assert problem_of(folders) is None


def test_folders_in_conflict_are_named(tmp_path: Path) -> None:
    a, b, inner = tmp_path / "a", tmp_path / "b", tmp_path / "a" / "inner"
    for folder in (a, b, inner):
        folder.mkdir()
    (tmp_path / "link").symlink_to(a)
    at = GuardedFolder.at
    cases = {
        "is not a folder": [at(tmp_path / "missing")],
        "holds a NUL character": [at(a, "nul\0.lock"), at(b, package="x")],
        "others must be": [at(a, others="ignore")],
        "not a dotted name": [at(a, package="a-b")],
        "same folder": [at(a, package="x"), at(tmp_path / "link", package="y")],
        "must not nest": [at(tmp_path / "link" / "inner", package="x"), at(a, package="y")],
        f"'x' is claimed by '{a}' and by '{b}'": [at(a, package="x"), at(b, package="x")],
        f"by 'the default folder' and by '{b}'": [
            GuardedFolder("", "", "x", "refuse"),
            at(b, package="x"),
        ],
        "inside package": [at(a, package="x.y"), at(b, package="x")],
        "inside another guarded folder": [at(a, a / "PLUGINS.lock", "x"), at(b, a / "b.lock", "y")],
    }
    for words, folders in cases.items():
        assert words in str(problem_of(folders)), words
        assert problem_of(folders[::-1]) is not None, words


@pytest.mark.parametrize(
    ("package", "name", "has_problem"),
    [
        ("custom", "codegenie", True),
        ("", "sitecustomize", True),
        ("", "json", True),
        ("custom", "json", False),
        ("", "tool", False),
        (None, "tool", False),
    ],
)
def test_names_that_a_lock_cannot_guard(package: str | None, name: str, has_problem: bool) -> None:
    assert bool(names_problem(package, ["alpha", name])) is has_problem


def test_default_lock_is_the_one_in_the_folder(tmp_path: Path) -> None:
    at = GuardedFolder.at
    assert at(tmp_path).has_default_lock is True
    assert at(tmp_path, tmp_path / "PLUGINS.lock").has_default_lock is True
    assert at(tmp_path, tmp_path / "other.lock").has_default_lock is False
