"""``codegenie plugins compile``."""

from __future__ import annotations

from pathlib import Path

import click

from codegenie.authoring import compiling
from codegenie.cli import documents, output
from codegenie.cli.output import Column
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import packs
from codegenie.refusals.record import Refusal
from codegenie.result import Err

COLUMNS = (Column("plugin"), Column("modules", is_number=True), Column("size", is_number=True))


@click.command(name="compile")
@common.on_a_folder
def compile_plugins(root: str, lock_path: str | None, as_json: bool) -> None:
    """Compile every plugin below ROOT for this interpreter.

    Writes packs of bytecode beside the lock, which are bound to the tree digests in it. Run it
    after each lock, with each interpreter that imports the plugins. A pack that does not match is
    not used.

    \b
    Examples:
      codegenie plugins compile
      codegenie plugins verify --bytecode
    """
    folder = GuardedFolder.at(root, lock_path)
    compiled: list[compiling.Compiled] = []
    refusals: list[Refusal] = []
    with output.turn(folder.root, str(Path(folder.lock).parent), as_json=as_json):
        for verdict in common.verdicts(folder, as_json=as_json):
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
    pack_folder = packs.folder_for(folder.lock)
    document = documents.Compile(
        **common.about(folder, refusals),
        folder=pack_folder,
        compiled=[
            documents.CompiledPlugin(plugin=one.plugin, modules=one.modules, size=one.size)
            for one in compiled
        ],
    )

    def text() -> None:
        from rich.filesize import decimal

        rows = ((one.plugin, str(one.modules), decimal(one.size)) for one in compiled)
        output.table(COLUMNS, rows)

    output.result(document, as_json=as_json, text=text)
    rejected = f", {len(refusals)} rejected" if refusals else ""
    into = f" into {output.shown_path(pack_folder)}" if pack_folder else ""
    summary = f"{output.count(len(compiled), 'plugin')} compiled{into}{rejected}"
    output.conclude(refusals, summary)
