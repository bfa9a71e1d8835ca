"""The site that is built: complete, whole, and not in need of a network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from codegenie.cli import cli
from tests.static.sources import REPOSITORY

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")}
"""Attributes that make a browser fetch something. An ``a`` does not."""

NOT_FETCHED = {"canonical", "prev", "next", "alternate"}
"""Kinds of ``link`` that only say where something is."""


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(site)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(REPOSITORY, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """Collects what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in NOT_FETCHED:
            return
        self.found += [value or "" for name, value in attrs if (tag, name) in LOADED]


def fetched(page: str) -> list[str]:
    parser = Fetched()
    parser.feed(page)
    return parser.found


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    sources = {
        path.relative_to(REPOSITORY / "docs").with_suffix("")
        for path in (REPOSITORY / "docs").rglob("*.md")
    }
    assert sources <= pages, sources - pages


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in fetched(page.read_text()):
            assert not re.match(r"(?:\w+:)?//", address), (page, address)
            target = (page.parent / address.partition("?")[0].partition("#")[0]).resolve()
            assert page.name == "404.html" or target.exists(), (page, address)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text()), style


def commands(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    """Yield the names of all commands below a group, as they are typed."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, context, f"{path} {name}")


def test_every_command_has_its_section_and_its_examples(site: Path) -> None:
    text = Text()
    text.feed((site / "reference" / "cli.html").read_text())
    lines = {line.strip() for line in "".join(text.found).splitlines()}
    for command in commands(cli, click.Context(cli), "codegenie"):
        assert any(line.startswith(command) for line in lines), command
    assert {"codegenie plugins lock", "codegenie guard status"} <= lines
    assert not any("Sentinel" in line or "\b" in line for line in lines)


class Text(HTMLParser):
    """Collects the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_a_page_that_fetches_something_is_noticed() -> None:
    assert fetched('<link rel="stylesheet" href="//a/b.css"><a href="//c">d</a>') == ["//a/b.css"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site's settings with two pages and no API, for pages that are wrong."""
    folder = tmp_path_factory.mktemp("small")
    settings = (REPOSITORY / "mkdocs.yml").read_text()
    settings = settings[: settings.index("\nnav:")]
    settings = re.sub(r"\nhooks:.*?\n(?=\n)", "\n", settings, flags=re.DOTALL)
    settings = re.sub(r"\n  - mkdocstrings:.*?\n(?=\n)", "\n", settings, flags=re.DOTALL)
    settings += "\nnav:\n  - index.md\n  - other.md\n"
    (folder / "mkdocs.yml").write_text(settings)
    (folder / "docs").mkdir()
    shutil.copytree(REPOSITORY / "docs" / "assets", folder / "docs" / "assets")
    (folder / "docs" / "other.md").write_text("# Other\n\n## Part\n")
    return folder


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("[right](other.md#part)", None),
        ("[a](nowhere.md)", "nowhere.md"),
        ("[a](other.md#nowhere)", "nowhere"),
        ("[a](/other.md)", "other.md"),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_build(
    page: str, complaint: str | None, small: Path, tmp_path: Path
) -> None:
    (small / "docs" / "index.md").write_text(f"# Home\n\n{page}\n")
    done = build(small, tmp_path / "site")
    assert (done.returncode == 0) is (complaint is None), done.stdout + done.stderr
    assert complaint is None or complaint in done.stdout + done.stderr


def test_a_page_that_is_not_in_the_navigation_fails_the_build(small: Path, tmp_path: Path) -> None:
    (small / "docs" / "index.md").write_text("# Home\n")
    extra = small / "docs" / "extra.md"
    extra.write_text("# Extra\n")
    try:
        done = build(small, tmp_path / "site")
    finally:
        extra.unlink()
    assert done.returncode != 0
    assert "extra.md" in done.stdout + done.stderr
