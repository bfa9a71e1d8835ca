"""Results to standard output, as text or as one JSON document; messages to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from codegenie.plugins._enforce import explanation
from codegenie.plugins._enforce.refusal import Refusal, printable
from codegenie.plugins.errors import exit_code_for_rejection

PIPED_WIDTH = 1000
"""Columns of a table that no terminal shows: nothing is cut or wrapped for a program that reads."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
)


class Rejected(Exception):
    """Ends a command that has printed all it has to say."""

    def __init__(self, status: int) -> None:
        self.status = status


def result(document: Mapping[str, Any], *, as_json: bool, text: Callable[[], None]) -> None:
    """Print a result in the form that was asked for."""
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
    else:
        text()


def message(text: str) -> None:
    """Tell a person something that is not the result."""
    click.echo(text, err=True)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table that fits the terminal, or that a program can read."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(printable(cell) for cell in row))
    # Markup off: a plugin's name or version is data, never formatting.
    Console(width=width, markup=False, highlight=False, soft_wrap=False).print(shown)


def rejections(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """The rejection models as plain data."""
    return [refusal.model().model_dump(mode="json") for refusal in refusals]


def explanations(refusals: Iterable[Refusal]) -> list[dict[str, object]]:
    """What stands beside the models, in the same order: files, times, commands, where to read."""
    return [explanation.fields(refusal) for refusal in refusals]


def end_rejected(refusals: Iterable[Refusal]) -> NoReturn:
    """Explain every refusal on standard error and end with their status."""
    status = 0
    for refusal in refusals:
        message(f"{refusal.explanation()}\n")
        status = max(status, exit_code_for_rejection(refusal.model()))
    raise Rejected(status)
