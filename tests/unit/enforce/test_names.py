"""Dotted names to plugins and candidate files."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

from codegenie._enforce.names import SUFFIXES, candidates, is_extension, module_of, split

EXTENSION = importlib.machinery.EXTENSION_SUFFIXES[0]


@pytest.mark.parametrize(
    ("fullname", "plugin", "path"),
    [
        ("plugins.alpha", "alpha", ""),
        ("plugins.alpha.api", "alpha", "api"),
        ("plugins.alpha.a.b.c", "alpha", "a/b/c"),
        ("plugins.vulnerability-remediation--node--npm.api", None, "api"),
        ("plugins.alpha.é", "alpha", "é"),
        ("plugins.alpha.__init__", "alpha", "__init__"),
        ("plugins.alpha.a/b", "alpha", None),
        ("plugins.alpha./etc/x", "alpha", None),
        ("plugins.alpha.", "alpha", None),
        ("plugins.alpha..api", "alpha", None),
        ("plugins.alpha.a..b", "alpha", None),
        ("plugins.alpha.a.", "alpha", None),
        ("plugins.", "", ""),
        ("plugins..alpha", "", "alpha"),
    ],
)
def test_a_name_is_a_plugin_and_a_path(fullname: str, plugin: str | None, path: str | None) -> None:
    expected = fullname.split(".")[1] if plugin is None else plugin
    assert split("plugins", fullname) == (expected, path)
    assert split("", fullname.removeprefix("plugins.")) == (expected, path)
    assert split("a.b", fullname.replace("plugins", "a.b", 1)) == (expected, path)


def test_no_path_leaves_the_plugin() -> None:
    """A part can hold no dot and no slash, so neither ``..`` nor a root can be made of parts."""
    for name in ("plugins.a....b", "plugins.a../..", "plugins.a./..", "plugins.a.../x"):
        assert split("plugins", name) == ("a", None)


def test_candidates_of_a_module_come_packages_first_and_extensions_before_source() -> None:
    found = list(candidates("a/b"))
    extensions = importlib.machinery.EXTENSION_SUFFIXES
    assert found == [
        *((f"a/b/__init__{suffix}", True) for suffix in extensions),
        ("a/b/__init__.py", True),
        *((f"a/b{suffix}", False) for suffix in extensions),
        ("a/b.py", False),
    ]


def test_candidates_of_a_plugin_are_packages_only() -> None:
    extensions = importlib.machinery.EXTENSION_SUFFIXES
    assert list(candidates("")) == [
        *((f"__init__{suffix}", True) for suffix in extensions),
        ("__init__.py", True),
    ]


@pytest.mark.parametrize("path", ["", "a", "a/b"])
def test_bytecode_is_never_a_candidate(path: str) -> None:
    suffixes = tuple(importlib.machinery.BYTECODE_SUFFIXES)
    found = [candidate for candidate, _ in candidates(path)]
    assert found
    assert not [candidate for candidate in found if candidate.endswith(suffixes)]
    assert not set(SUFFIXES) & set(suffixes)


@pytest.mark.parametrize("skip", range(2 * len(SUFFIXES)))
def test_the_order_is_the_one_of_the_interpreter(tmp_path: Path, skip: int) -> None:
    """With every candidate on the disk, and then without the best, and so on: both agree."""
    remaining = list(candidates("thing"))[skip:]
    for path, _ in remaining:
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.touch()
    spec = importlib.machinery.PathFinder.find_spec("thing", [str(tmp_path)])
    best, is_package = remaining[0]
    assert spec is not None
    assert spec.origin == str(tmp_path / best)
    assert (spec.submodule_search_locations is not None) is is_package


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"a{EXTENSION}", True),
        ("a.so", ".so" in importlib.machinery.EXTENSION_SUFFIXES),
        (f"sub/__init__{EXTENSION}", True),
        ("a.py", False),
        ("a.pyc", False),
        ("a.so.py", False),
        ("a", False),
        (f"a{EXTENSION}.txt", False),
    ],
)
def test_machine_code_is_known_by_its_suffix(path: str, expected: bool) -> None:
    assert is_extension(path) is expected


@pytest.mark.parametrize(
    ("unit", "module"),
    [
        ("alpha", ("alpha", True)),
        ("alpha.py", ("alpha", False)),
        (f"alpha{EXTENSION}", ("alpha", False)),
        ("a.py", ("a", False)),
        (".py", (".py", True)),
        ("alpha.txt", ("alpha.txt", True)),
    ],
)
def test_a_unit_with_a_suffix_is_a_file(unit: str, module: tuple[str, bool]) -> None:
    assert module_of(unit) == module
