"""``codegenie guard uninstall``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from codegenie.activation import files
from codegenie.cli import documents, output
from codegenie.cli.guard import common
from codegenie.cli.outcome import finish


@click.command()
@common.python_option
@output.json_option
def uninstall(python: str, as_json: bool) -> None:
    """Undo what install did: every file is again as it was.

    A file that was edited since is not removed, and the status is 1.

    \b
    Examples:
      codegenie guard uninstall
    """
    finish(run(python, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The files that were removed, and those that were left."""

    document: documents.GuardUninstall
    changes: files.Changes

    @property
    def status(self) -> int:
        return 1 if self.changes.kept else 0


def run(python: str, *, as_json: bool) -> Outcome:
    """Remove the activation files of an environment."""
    start = common.ask(python)
    folder = Path(start.folder)
    try:
        with output.turn(str(folder), as_json=as_json):
            changes = files.remove(folder)
    except OSError as error:
        common.fail_to_write(folder, error, as_json=as_json)
    document = documents.GuardUninstall.model_validate(
        {
            **common.of_interpreter(start),
            "removed": common.texts(changes.removed),
            "kept": {str(path): whose for path, whose in changes.kept.items()},
        }
    )
    return Outcome(document, changes)


def render(outcome: Outcome) -> None:
    """Print the files that were removed."""
    common.show_changes(outcome.changes)


def advise(outcome: Outcome) -> None:
    """Name the files that were left, and say if starts are still guarded."""
    document = outcome.document
    for path, whose in outcome.changes.kept.items():
        output.say(
            f"a file {common.WHOSE[whose]}, so it was left where it is",
            ("file", path),
            ("fix", "remove it by hand"),
        )
    if outcome.status:
        return
    if document.removed:
        output.say(
            "starts of this interpreter are no longer guarded", ("python", document.executable)
        )
    else:
        output.say("there is nothing to undo", ("folder", document.folder))
