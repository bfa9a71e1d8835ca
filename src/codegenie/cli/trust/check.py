"""``codegenie trust check``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
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
@common.on_folders
@click.option(
    "--at-start",
    is_flag=True,
    help="Verify only what a guarded process verifies: Ed25519 keys and security keys.",
)
def check(targets: common.Targets, file: str, at_start: bool, as_json: bool) -> None:
    """Check the lock of ROOT against the policy FILE.

    Exits 4 unless enough signers vouch for the lock. It does not check the plugins themselves:
    codegenie plugins verify --trust FILE does both.

    \b
    Examples:
      codegenie trust check trust.json plugins
      codegenie trust check --at-start trust.json plugins
    """
    common.finish_each(
        targets,
        partial(run, file=file, at_start=at_start, as_json=as_json),
        render,
        advise,
        as_json=as_json,
    )


@dataclass(frozen=True)
class Outcome:
    """The verdict on one lock, and its refusal if it is not trusted."""

    folder: GuardedFolder
    document: documents.TrustCheck
    refusals: tuple[Refusal, ...]

    @property
    def status(self) -> int:
        return output.status_of(self.refusals)


def run(target: common.Target, *, file: str, at_start: bool, as_json: bool) -> Outcome:
    """Check the lock of a folder against the policy."""
    folder = target.folder
    try:
        checked = policies.check(os.path.abspath(file), folder.lock, at_start=at_start)
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    refusals = refusals_of(checked, folder)
    return Outcome(folder, document_of(checked, folder, file, refusals), tuple(refusals))


def render(outcome: Outcome) -> None:
    """Print the names of the signers that count."""
    for name in outcome.document.signers:
        click.echo(printable(name))


def advise(outcome: Outcome) -> None:
    """Explain the refusal, or say how many signers vouch for the lock."""
    document, where = outcome.document, output.shown_path(outcome.folder.lock)
    trusted = (
        f"{where} is number {document.sequence} for {document.application}, "
        f"{len(document.signers)} of {document.threshold} needed signers"
    )
    output.explain(outcome.refusals, f"{where} is not trusted" if outcome.refusals else trusted)


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
            remedy=error.remedy,
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
