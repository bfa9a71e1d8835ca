"""``codegenie trust check``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from codegenie.authoring import policies
from codegenie.cli import documents, output
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err
from codegenie.text import printable


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@common.on_a_folder
@click.option(
    "--at-start",
    is_flag=True,
    help="Verify only what a guarded process verifies: Ed25519 keys and security keys.",
)
def check(file: str, root: str, lock_path: str | None, at_start: bool, as_json: bool) -> None:
    """Check the lock of ROOT against the policy FILE.

    Exits 4 unless enough signers vouch for the lock. It does not check the plugins themselves:
    codegenie plugins verify --trust FILE does both.

    \b
    Examples:
      codegenie trust check trust.json plugins
      codegenie trust check --at-start trust.json plugins
    """
    folder = GuardedFolder.at(root, lock_path)
    try:
        checked = policies.check(os.path.abspath(file), folder.lock, at_start=at_start)
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    refusals = refusals_of(checked, folder)
    document = document_of(checked, folder, file, refusals)

    def text() -> None:
        for name in document.signers:
            click.echo(printable(name))

    output.result(document, as_json=as_json, text=text)
    needed = checked.policy.threshold
    output.conclude(
        refusals,
        f"{output.shown_path(folder.lock)} is number {document.sequence} for "
        f"{checked.policy.application}, {len(document.signers)} of {needed} needed signers"
        if not refusals
        else f"{output.shown_path(folder.lock)} is not trusted",
    )


def refusals_of(checked: policies.Checked, folder: GuardedFolder) -> list[Refusal]:
    """Return the refusal of an untrusted lock; none for a trusted one."""
    if not isinstance(checked.verdict, Err):
        return []
    error = checked.verdict.error
    return [
        kinds.untrusted_lock(
            folder.lock,
            error.detail,
            needed=error.needed,
            counted=error.counted,
            signatures=error.signatures,
        )
    ]


def document_of(
    checked: policies.Checked, folder: GuardedFolder, file: str, refusals: list[Refusal]
) -> documents.TrustCheck:
    """Return the verdict for ``--json``."""
    found = {} if isinstance(checked.verdict, Err) else checked.verdict.value.as_dict()
    names = ("sequence", "statement", "issued", "expires", "days_left")
    return documents.TrustCheck(
        **common.about(folder, refusals),
        policy=str(Path(file).absolute()),
        sha256=checked.sha256,
        application=checked.policy.application,
        threshold=checked.policy.threshold,
        signers=found.get("signers", []),
        **{name: found.get(name) for name in names},
    )
