"""Results to standard output, as text or as one JSON document; messages to standard error."""

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
"""Columns of a table that no terminal shows: nothing is cut or wrapped for a program that reads."""

NARROWEST_FIRST_COLUMN = 20
"""Columns. Where a table leaves less for names, every row becomes a few lines instead."""

COLUMN_GAP = 2

SIGN_COLOURS = {"+": "green", "~": "yellow", "-": "red"}

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output."
)


class Rejected(click.exceptions.Exit):
    """Ends a command that has printed all it has to say."""


def result(
    document: BaseModel, *, as_json: bool, text: Callable[[], None], one_line: bool = False
) -> None:
    """Print a result in the form that was asked for."""
    if as_json:
        click.echo(json_text(document.model_dump(mode="json"), one_line=one_line))
    else:
        text()


def json_text(value: Any, *, one_line: bool = False) -> str:
    """Plain data as JSON."""
    return json.dumps(value, indent=None if one_line else 2, sort_keys=True)


def message(text: str) -> None:
    """Tell a person something that is not the result.

    Names from the disk are escaped where the text is made; what still holds a control character
    must not reach the terminal either.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)


def say(headline: str, *rows: tuple[str, object]) -> None:
    """One sentence, and below it what may be long, each with a label."""
    message(printable(headline))
    for label, value in rows:
        message(printable(f"  {label:<9} {value}"))


def fail(
    headline: str, *rows: tuple[str, object], as_json: bool, one_line: bool = False
) -> NoReturn:
    """End with status 1: what was asked for could not be done, and no plugin is to blame."""
    from codegenie.cli.documents import Failure  # pydantic, which --help does without

    fields = {label: str(value) for label, value in rows}
    document = Failure(error=headline, **fields)
    result(document, as_json=as_json, text=lambda: None, one_line=one_line)
    say(document.error, *rows)
    raise Rejected(1)


@contextmanager
def turn(*folders: str, as_json: bool) -> Iterator[None]:
    """Wait until no other command writes to these folders, and keep others waiting meanwhile."""
    from codegenie import folder_lock

    def tell(folder: str) -> None:
        message(f"waiting for another codegenie command that uses {shown_path(folder)}")

    try:
        with folder_lock.locked(*folders, waiting=tell):
            yield
    except folder_lock.StillLocked as error:
        fail(str(error), ("fix", "end that command, and run this again"), as_json=as_json)


def change(sign: str, text: str) -> None:
    """Print one line of a change: what was added, changed (``~``) or removed."""
    click.echo(click.style(printable(f"{sign} {text}"), fg=SIGN_COLOURS.get(sign)))


def count(number: int, noun: str) -> str:
    """A number and its noun, as people write it."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shown_path(path: str) -> str:
    """A path as short as it can be typed here, to be read."""
    return printable(shortest_path(path))


def shortest_path(path: str) -> str:
    """A path as short as it can be typed here, as it is."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # the folder is gone, and a process still stands in it
        return path
    below = path == here or path.startswith(here.rstrip("/") + "/")
    return os.path.relpath(path, here) if below else path


def command(*words: str) -> str:
    """A command that can be typed as it is printed."""
    return " ".join(quoted(word) for word in words)


def operand(path: str) -> str:
    """A path as a word of a command that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def plugins_command(name: str, root: str, lock: str | None, *ids: str) -> str:
    """One of ``codegenie plugins``, with the folder and the lock as they were typed."""
    elsewhere = () if lock is None else ("--lock", operand(lock))
    return command("codegenie", "plugins", name, operand(root), *ids, *elsewhere)


@dataclass(frozen=True)
class Column:
    """A column of a table. ``styles`` gives some of its values a colour."""

    name: str
    is_number: bool = False
    styles: Callable[[str], str] = lambda _: ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that fits the terminal, or that a program can read.

    The first column is the one that gives way; where too little of it is left, each row is printed
    as a few lines.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    # Markup off: a plugin's name or version is data, never formatting.
    console = Console(
        width=None if sys.stdout.isatty() else PIPED_WIDTH,
        # Where colour was declined there is no bold type either, which rich would keep.
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


def conclude(refusals: Sequence[Refusal], summary: str) -> None:
    """Explain every refusal that there is and end with their status; the summary comes last."""
    try:
        if refusals:
            end_rejected(refusals)
    finally:
        message(printable(summary))


def rejections(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """The rejection models as plain data."""
    return [refusal.model().model_dump(mode="json") for refusal in refusals]


def explanations(refusals: Iterable[Refusal], folder: GuardedFolder) -> list[dict[str, object]]:
    """What stands beside the models, in the same order: files, times, commands, where to read.

    Settles them: from then on they speak of the folder and lock that the command was given.
    """
    return [explanation.fields(refusal.settle(folder.root, folder.lock)) for refusal in refusals]


def end_rejected(refusals: Iterable[Refusal]) -> NoReturn:
    """Explain every refusal on standard error and end with their status."""
    status = 0
    for refusal in refusals:
        message(f"{refusal.explanation()}\n")
        status = max(status, exit_code_for_rejection(refusal.model()))
    raise Rejected(status)
