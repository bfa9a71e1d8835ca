"""``codegenie explain``: print what the documentation says about a kind of refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from codegenie.cli import documents, output
from codegenie.cli.outcome import finish

_PAGE = Path(__file__).with_name("rejections.md")
_PAGE_OF_A_CHECKOUT = Path(__file__).parents[3] / "docs" / "rejections.md"
"""The same page, for an editable installation: only the wheel has a copy."""

_SECTION = re.compile(r"^### ([^\n]+)\n+(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


@click.command()
@click.argument("kind", metavar="[KIND]", required=False)
@output.json_option
def explain(kind: str | None, as_json: bool) -> None:
    """Explain a kind of refusal: usual causes, and what to do.

    KIND is the word in brackets after a refusal, or the name of an exception of the guard. Without
    KIND it prints every kind.

    \b
    Examples:
      codegenie explain
      codegenie explain integrity_mismatch
    """
    finish(run(kind), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The section about one kind; the names of all kinds if none was given."""

    document: documents.Explain
    status: int = 0


def run(kind: str | None) -> Outcome:
    """Read the page, and find the section.

    Raises:
        click.BadParameter: the page has no such section.
    """
    found = sections()
    if kind is None:
        return Outcome(documents.Explain(kind=None, text=None, kinds=sorted(found)))
    name = kind.strip("[]").replace("-", "_")
    if name not in found:
        raise click.BadParameter(
            f"{kind!r} is not one of: {', '.join(sorted(found))}", param_hint="'[KIND]'"
        )
    return Outcome(documents.Explain(kind=name, text=found[name], kinds=sorted(found)))


def render(outcome: Outcome) -> None:
    """Print the section, or the names of all kinds."""
    document = outcome.document
    click.echo("\n".join(document.kinds) if document.text is None else document.text)


def advise(outcome: Outcome) -> None:
    """Say how to read more, below the names of all kinds."""
    if outcome.document.kind is None:
        output.message("run: codegenie explain KIND")


def sections() -> dict[str, str]:
    """Return the text of each section of the page, by the kind that it explains."""
    page = _PAGE if _PAGE.exists() else _PAGE_OF_A_CHECKOUT
    text = page.read_text("utf-8")
    return {
        title.strip().lower().replace(" ", "_"): _plain(title, body)
        for title, body in _SECTION.findall(text)
    }


def _plain(title: str, body: str) -> str:
    """Return a section for a terminal: links lead nowhere there, so only their text stays."""
    text = _LINK.sub(r"\1", body).replace("**", "").strip()
    return f"{title}\n\n{text}"
