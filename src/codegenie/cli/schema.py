"""``codegenie schema``: print the JSON Schema of the output of ``--json``."""

from __future__ import annotations

import click

from codegenie.cli import documents, output


@click.command()
@click.argument(
    "command", metavar="[COMMAND]", required=False, type=click.Choice(sorted(documents.DOCUMENTS))
)
def schema(command: str | None) -> None:
    """Print the JSON Schema of what a command prints with --json.

    Without COMMAND it prints the name of every command that has one.

    \b
    Examples:
      codegenie schema
      codegenie schema plugins-verify
    """
    if command is None:
        click.echo("\n".join(sorted(documents.DOCUMENTS)))
    else:
        click.echo(output.json_text(documents.schema(command)))
