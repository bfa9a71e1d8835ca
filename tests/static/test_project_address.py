"""The address of the project is one setting, ``Repository`` in ``pyproject.toml``."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.static.sources import REPOSITORY

FOLDERS = ("src", "docs", "tests", "scripts", "examples", "benchmarks", "requirements", ".github")
FILES = ("*.md", "*.yml", "*.py", "*.toml", ".pre-commit-hooks.yaml", "Makefile")
SETTING = REPOSITORY / "pyproject.toml"

ADDRESS = re.compile(
    r"""(?xi)
    (?: [a-z+]+://[^\s"'<>()]* | \b[\w.-]+\.[a-z]{2,}[/:] | git@[^\s"'<>()]* )  # an address that
    \b codegenie (?: \.git )? (?![\w.-]*\.py)                                  # names the project
    | (?<!OWNER) / codegenie @                                               # an action
    """
)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every file that may hold an address, except this one."""
    paths = [path for pattern in FILES for path in REPOSITORY.glob(pattern)]
    paths += [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*")]
    for path in paths:
        if path.is_file() and path.suffix not in (".pyc", ".png") and path != Path(__file__):
            yield path, path.read_text(errors="replace")


def test_no_other_place_holds_an_address_of_the_project() -> None:
    found = {path: ADDRESS.findall(text) for path, text in texts() if ADDRESS.search(text)}
    assert found.keys() == {SETTING}, found
    assert len(found[SETTING]) == 1, found
    assert list(tomllib.loads(SETTING.read_text())["project"]["urls"]) == ["Repository"]


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/someone/codegenie",
        "git+https://host/codegenie.git",
        "see codegenie.readthedocs.io: https://codegenie.readthedocs.io",
        "git@github.com:someone/codegenie.git",
        "github.com/codegenie",
        "- uses: someone/codegenie@v1",
    ],
)
def test_an_address_is_noticed(text: str) -> None:
    assert ADDRESS.search(text)


def test_the_site_shows_the_address_once_there_is_one() -> None:
    path = REPOSITORY / "scripts" / "mkdocs_hooks.py"
    spec = importlib.util.spec_from_file_location("mkdocs_hooks", path)
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = (REPOSITORY / "docs" / "howto" / "ci-and-tests.md").read_text()
    assert hooks.on_page_markdown(page, page=None, config={}, files=[]) == page
    made = hooks.with_address(page, "https://host.example/team/codegenie")
    assert "repo: https://host.example/team/codegenie\n" in made
    assert "uses: team/codegenie@FULL_COMMIT_HASH\n" in made
