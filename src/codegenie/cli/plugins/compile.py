"""``codegenie plugins compile``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from codegenie.authoring import compiling
from codegenie.cli import documents, output
from codegenie.cli.output import Column
from codegenie.cli.plugins import common
from codegenie.integrity import packs
from codegenie.refusals.record import Refusal
from codegenie.result import Err

COLUMNS = (Column("plugin"), Column("modules", is_number=True), Column("size", is_number=True))


@click.command(name="compile")
@common.on_folders
def compile_plugins(targets: common.Targets, as_json: bool) -> None:
    """Compile every plugin below ROOT for this interpreter.

    Writes packs of bytecode beside the lock, which are bound to the tree digests in it. Run it
    after each lock, with each interpreter that imports the plugins. A pack that does not match is
    not used.

    \b
    Examples:
      codegenie plugins compile
      codegenie plugins verify --bytecode
    """
    common.finish_each(targets, partial(run, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The packs that were written."""

    document: documents.Compile
    refusals: tuple[Refusal, ...]

    @property
    def status(self) -> int:
        return output.status_of(self.refusals)


def run(target: common.Target, *, as_json: bool) -> Outcome:
    """Write a pack for every plugin that passes."""
    folder = target.folder
    compiled: list[compiling.Compiled] = []
    refusals: list[Refusal] = []
    with output.turn(folder.root, str(Path(folder.lock).parent), as_json=as_json):
        for verdict in common.verdicts(target, as_json=as_json):
            if isinstance(verdict, Err):
                refusals.append(verdict.error)
                continue
            try:
                written = compiling.write_pack(verdict.value[0], folder.lock)
            except compiling.NotWritten as error:
                output.fail(str(error), as_json=as_json)
            if isinstance(written, Err):
                refusals.append(written.error)
            else:
                compiled.append(written.value)
        names = [one.plugin for one in compiled]
        about_statement = common.about_statement(target, names) if compiled else {}
    document = documents.Compile(
        **common.about(folder, refusals),
        **about_statement,
        folder=packs.folder_for(folder.lock),
        compiled=[
            documents.CompiledPlugin(plugin=one.plugin, modules=one.modules, size=one.size)
            for one in compiled
        ],
    )
    return Outcome(document, tuple(refusals))


def render(outcome: Outcome) -> None:
    """Print a table of the packs."""
    from rich.filesize import decimal

    rows = ((one.plugin, str(one.modules), decimal(one.size)) for one in outcome.document.compiled)
    output.table(COLUMNS, rows)


def advise(outcome: Outcome) -> None:
    """Name an outdated statement, explain the refusals, and count the compiled plugins."""
    common.advise_to_sign(outcome.document.lock, outcome.document)
    pack_folder = outcome.document.folder
    rejected = f", {len(outcome.refusals)} rejected" if outcome.refusals else ""
    into = f" into {output.shown_path(pack_folder)}" if pack_folder else ""
    count = output.count(len(outcome.document.compiled), "plugin")
    output.explain(outcome.refusals, f"{count} compiled{into}{rejected}")
