"""Hooks of MkDocs: what pages need from other files of this repository."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

SECTION = "Decisions"
FOLDER = "decisions"

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
ADDRESS_MARK, OWNER_MARK = "ADDRESS_OF_THE_CODEGENIE_REPOSITORY", "OWNER/codegenie"
"""The words of pages for the address of the repository, and for its path on a server."""

PREFORMATTED = "\b"
"""What makes click keep the lines of a paragraph as they are."""


def on_config(config: Any) -> Any:
    """Before anything is built."""
    records = sorted((Path(config["docs_dir"]) / FOLDER).glob("*.md"))
    # A new record enters the navigation, in which every page must be, by itself.
    _section(config["nav"])[SECTION] = [f"{FOLDER}/{record.name}" for record in records]
    from codegenie.cli import cli

    _mark_down(cli, click.Context(cli))
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Before a page becomes HTML."""
    urls = tomllib.loads(PROJECT.read_text())["project"]["urls"]
    return with_address(markdown, urls["Repository"])


def with_address(page: str, address: str) -> str:
    """Put the address of the repository into a page. A placeholder changes nothing."""
    parts = urlsplit(address)
    if (parts.hostname or "").endswith(".invalid"):
        return page
    return page.replace(ADDRESS_MARK, address).replace(OWNER_MARK, parts.path.strip("/"))


def _section(nav: list[Any]) -> dict[str, Any]:
    """The entry of the navigation that holds the section of the records."""
    for entry in nav:
        if isinstance(entry, dict):
            for title, content in entry.items():
                if title == SECTION:
                    return entry
                if isinstance(content, list) and content:
                    try:
                        return _section(content)
                    except LookupError:
                        continue
    raise LookupError(f"mkdocs.yml has no section {SECTION!r}")


def _mark_down(command: click.Command, context: click.Context) -> None:
    """Rewrite the help of a command and of those below it as Markdown: mkdocs-click takes it for
    that, and would join the lines of examples into one."""
    if command.help:
        paragraphs = inspect.cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(markdown(paragraph) for paragraph in paragraphs)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                _mark_down(below, context)


def markdown(paragraph: str) -> str:
    """A paragraph of a help text, with preformatted lines in a block of their own."""
    first, *lines = paragraph.split("\n")
    if first != PREFORMATTED:
        return paragraph
    indented = [line for line in lines if line.startswith(" ")]
    plain = [line for line in lines if not line.startswith(" ")]
    block = inspect.cleandoc("\n".join(indented))
    return "\n".join([*plain, "", "```text", block, "```"])
