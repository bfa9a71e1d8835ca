"""``codegenie plugins merge-lock``: merge ``PLUGINS.lock`` for git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import click

from codegenie.authoring import merging
from codegenie.cli import documents, output
from codegenie.cli.outcome import finish
from codegenie.integrity.file_list import SIDECAR_NAME
from codegenie.text import printable
from codegenie.writing import replace, write_error

CONFLICT_STATUS = 1
"""Git treats any status from 1 to 128 as a conflict."""

_file = click.Path(exists=True, dir_okay=False)


@click.command(name="merge-lock")
@click.argument("base", type=_file)
@click.argument("ours", type=_file)
@click.argument("theirs", type=_file)
@click.argument("path")
@output.json_option
def merge_lock(base: str, ours: str, theirs: str, path: str, as_json: bool) -> None:
    """Merge two locks plugin by plugin, as a merge driver of git.

    Merges THEIRS into OURS, which both come from BASE. PATH is the name of the file in the
    repository. If both sides changed a plugin in different ways, the status is 1, and OURS is not
    a valid lock until a person has resolved the conflict.

    \b
    Examples:
      git config merge.codegenie-lock.driver \\
        'codegenie plugins merge-lock %O %A %B %P'
    """
    finish(run(base, ours, theirs, path, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The result of the merge, which was written over OURS."""

    document: documents.MergeLock

    @property
    def status(self) -> int:
        return 0 if self.document.merged else CONFLICT_STATUS


def run(base: str, ours: str, theirs: str, path: str, *, as_json: bool) -> Outcome:
    """Merge the files, and write the result over ``ours``."""
    is_sidecar = PurePosixPath(path).name == SIDECAR_NAME
    merge = merging.merge_sidecars if is_sidecar else merging.merge_locks
    with output.turn(str(Path(ours).parent), as_json=as_json):
        merged = merge(base, ours, theirs)
        try:
            replace(ours, merged.data)
        except OSError as error:
            output.fail(f"{ours}: {write_error(error)}", as_json=as_json)
    return Outcome(
        documents.MergeLock(
            path=path,
            merged=merged.clean,
            conflicts=dict(merged.conflicts),
            problem=merged.problem,
        )
    )


def render(outcome: Outcome) -> None:
    """Print nothing: the result is in the file."""


def advise(outcome: Outcome) -> None:
    """Say which plugins are in conflict, and what to do."""
    document = outcome.document
    if document.merged:
        return
    shown = printable(document.path)
    for plugin, why in document.conflicts.items():
        output.message(f"{shown}: plugin {plugin!r} {why}")
    if document.problem is not None:
        output.message(printable(f"{document.path}: {document.problem}"))
    again = output.plugins_command("lock", str(PurePosixPath(document.path).parent), None)
    output.message("  fix       merge and review the files of the plugins, and lock them")
    output.message(f"  run       {again}")
