"""``codegenie trust export``."""

from __future__ import annotations

from dataclasses import dataclass

import click

from codegenie.authoring import policies
from codegenie.cli import documents, output
from codegenie.cli.outcome import finish


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
    finish(run(file, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The lines of an ``allowed_signers`` file."""

    document: documents.TrustExport
    status: int = 0


def run(file: str, *, as_json: bool) -> Outcome:
    """Read the policy, and translate its keys."""
    try:
        lines = policies.allowed_signers(policies.read(file))
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    return Outcome(documents.TrustExport(allowed_signers=lines))


def render(outcome: Outcome) -> None:
    """Print the lines."""
    for line in outcome.document.allowed_signers:
        click.echo(line)


def advise(_: Outcome) -> None:
    """Print nothing: the output is for another program."""
