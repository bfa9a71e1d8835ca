"""``codegenie trust export``."""

from __future__ import annotations

import click

from codegenie.authoring import policies
from codegenie.cli import documents, output


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--allowed-signers", is_flag=True, required=True, help="In the format of ssh-keygen.")
@output.json_option
def export(file: str, allowed_signers: bool, as_json: bool) -> None:
    """Print the SSH keys of the policy FILE, as ssh-keygen reads them.

    With them, ssh-keygen verifies a signature without this project. Revoked keys are left out.

    \b
    Examples:
      codegenie trust export trust.json --allowed-signers
    """
    try:
        lines = policies.allowed_signers(policies.read(file))
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    document = documents.TrustExport(allowed_signers=lines)
    output.result(document, as_json=as_json, text=lambda: click.echo("\n".join(lines)))
