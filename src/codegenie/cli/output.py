"""Print results to standard output, as text or JSON, and messages to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from codegenie.guarded_folder import GuardedFolder
from codegenie.plugins.errors import exit_code_for_rejection
from codegenie.refusals import explanation
from codegenie.refusals.record import Refusal
from codegenie.text import printable, quoted

if TYPE_CHECKING:
    from pydantic import BaseModel

PIPED_WIDTH = 1000
"""Columns of a table that is not on a terminal. A program needs lines that are not wrapped."""

NARROWEST_FIRST_COLUMN = 20
"""Columns. If a table has less space for names, each row is printed as several lines."""

COLUMN_GAP = 2

SIGN_COLOURS = {"+": "green", "~": "yellow", "-": "red"}

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
)


class Rejected(click.exceptions.Exit):
    """Ends a command that has printed all its output."""


def document(shown: BaseModel, *, one_line: bool = False) -> None:
    """Print a document as JSON on standard output."""
    plain(shown.model_dump(mode="json"), one_line=one_line)


def plain(value: Any, *, one_line: bool = False) -> None:
    """Print plain data as JSON on standard output."""
    click.echo(json_text(value, one_line=one_line))


def json_text(value: Any, *, one_line: bool = False) -> str:
    """Return plain data as JSON."""
    return json.dumps(value, indent=None if one_line else 2, sort_keys=True)


def message(text: str) -> None:
    """Print a message for a person, which is not part of the result.

    Callers escape names from the disk. This function escapes control characters again, so none can
    reach the terminal.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)


def say(headline: str, *rows: tuple[str, object]) -> None:
    """Print one sentence, and below it longer values, each with a label."""
    message(printable(headline))
    for label, value in rows:
        message(printable(f"  {label:<9} {value}"))


def fail(
    headline: str, *rows: tuple[str, object], as_json: bool, one_line: bool = False
) -> NoReturn:
    """End with status 1, because the command failed for a reason outside the plugins."""
    from codegenie.cli.documents import Failure  # loads pydantic, which --help does not need

    fields = {label: str(value) for label, value in rows}
    failure = Failure(error=headline, **fields)
    if as_json:
        document(failure, one_line=one_line)
    say(failure.error, *rows)
    raise Rejected(1)


@contextmanager
def turn(*folders: str, as_json: bool) -> Iterator[None]:
    """Wait until no other command writes to these folders, then make other commands wait."""
    from codegenie import folder_lock

    def tell(folder: str) -> None:
        message(f"waiting for another codegenie command that uses {shown_path(folder)}")

    try:
        with folder_lock.locked(*folders, waiting=tell):
            yield
    except folder_lock.StillLocked as error:
        fail(str(error), ("fix", "end that command, and run this again"), as_json=as_json)


def change(sign: str, text: str) -> None:
    """Print one line of a change: added (``+``), changed (``~``) or removed (``-``)."""
    click.echo(click.style(printable(f"{sign} {text}"), fg=SIGN_COLOURS.get(sign)))


def count(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural if needed."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shown_path(path: str) -> str:
    """Return the shortest form of a path in this working directory, escaped for display."""
    return printable(shortest_path(path))


def shortest_path(path: str) -> str:
    """Return the shortest form of a path in this working directory, not escaped."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # the working directory was removed
        return path
    below = path == here or path.startswith(here.rstrip("/") + "/")
    return os.path.relpath(path, here) if below else path


def command(*words: str) -> str:
    """Return a shell command, with its words quoted."""
    return " ".join(quoted(word) for word in words)


def operand(path: str) -> str:
    """Return a path as a word of a command that cannot be read as an option."""
    return f"./{path}" if path.startswith("-") else path


def plugins_command(name: str, root: str, lock: str | None, *ids: str) -> str:
    """Return a command of ``codegenie plugins``, with folder and lock as the user typed them."""
    elsewhere = () if lock is None else ("--lock", operand(lock))
    return command("codegenie", "plugins", name, operand(root), *ids, *elsewhere)


@dataclass(frozen=True)
class Column:
    """A column of a table. ``styles`` returns the color of a value."""

    name: str
    is_number: bool = False
    styles: Callable[[str], str] = lambda _: ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that fits the terminal, or that a program can read.

    Only the first column shrinks. If it becomes too narrow, each row is printed as several lines.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    # Markup is off, because a plugin's name or version is data.
    console = Console(
        width=None if sys.stdout.isatty() else PIPED_WIDTH,
        # rich keeps bold type if only the color is off, so turn off both.
        color_system=None if click.get_current_context().color is False else "auto",
        markup=False,
        highlight=False,
    )
    widths = [
        max(cell_len(text) for text in (column.name, *(row[index] for row in cells)))
        for index, column in enumerate(columns)
    ]
    left = console.width - sum(widths[1:]) - COLUMN_GAP * len(widths[1:])
    if left < min(widths[0], NARROWEST_FIRST_COLUMN):
        for row in cells:
            console.print(Text(row[0], style="bold"))
            for column, cell in zip(columns[1:], row[1:], strict=True):
                line = Text(f"  {column.name:<8}").append(cell, style=column.styles(cell))
                console.print(line)
        return
    shown = Table(box=None, pad_edge=False, padding=(0, COLUMN_GAP, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        shown.add_column(
            column.name,
            overflow="fold",
            no_wrap=index > 0,
            justify="right" if column.is_number else "left",
        )
    for row in cells:
        shown.add_row(
            *(Text(cell, style=col.styles(cell)) for col, cell in zip(columns, row, strict=True))
        )
    console.print(shown)


def explain(refusals: Iterable[Refusal], summary: str) -> None:
    """Explain every refusal on standard error, and print the summary below them."""
    for refusal in refusals:
        message(f"{refusal.explanation()}\n")
    message(printable(summary))


def status_of(refusals: Iterable[Refusal]) -> int:
    """Return the status of a command that has found these refusals; 0 if there are none."""
    return max((exit_code_for_rejection(refusal.model()) for refusal in refusals), default=0)


def rejections(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """Return the rejection models as plain data."""
    return [refusal.model().model_dump(mode="json") for refusal in refusals]


def explanations(refusals: Iterable[Refusal], folder: GuardedFolder) -> list[dict[str, object]]:
    """Return the explanation of each rejection, in the same order: files, times, commands, help.

    Attaches the folder and lock of the command to each refusal.
    """
    return [
        explanation.fields(refusal.with_context(folder.root, folder.lock)) for refusal in refusals
    ]
