"""``codegenie plugins verify``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import click

from codegenie.authoring import compiling, policies, signing
from codegenie.cli import documents, output
from codegenie.cli.outcome import finish
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok
from codegenie.text import printable

INTERRUPTED = 130
"""The status after Ctrl-C, as in shells: 128 plus the number of the signal."""


@click.command()
@common.on_folders
@click.option(
    "--bytecode",
    is_flag=True,
    help="Recompile every module, and compare with the packs of this interpreter.",
)
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False),
    help="The policy that says which signers the lock needs. The lock is not read without them.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Verify again whenever something changes, until Ctrl-C. With --json: one document per "
    "line.",
)
def verify(
    targets: common.Targets, as_json: bool, bytecode: bool, trust: str | None, watch: bool
) -> None:
    """Check every plugin below ROOT against the lock.

    Prints the digest of each plugin that passed; exits 4 if any did not.

    \b
    Examples:
      codegenie plugins verify
      codegenie plugins verify --json examples/plugins
      codegenie plugins verify --trust trust.json
      codegenie plugins verify --watch
    """
    if watch:
        target = targets.only("--watch works on one folder")
        _watch(target, as_json=as_json, bytecode=bytecode, trust=trust)
    else:
        common.finish_each(
            targets,
            partial(run, as_json=as_json, bytecode=bytecode, trust=trust),
            render,
            advise,
            as_json=as_json,
        )


@dataclass(frozen=True)
class Outcome:
    """The plugins that passed, and every refusal.

    Attributes:
        unused_bytecode: the reason why a pack would not be used, by plugin, or by the path of its
            index for packs of other interpreters; None if packs were not checked.
        packs: one line about packs that were not compared with the source.
    """

    folder: GuardedFolder
    passed: tuple[tuple[VerifiedTree, PluginManifest | None], ...]
    refusals: tuple[Refusal, ...]
    unused_bytecode: Mapping[str, str] | None = None
    packs: str = ""

    @property
    def document(self) -> documents.Verify:
        return _document(self)

    @property
    def status(self) -> int:
        return output.status_of(self.refusals)


def run(
    target: common.Target, *, as_json: bool, bytecode: bool, trust: str | None = None
) -> Outcome:
    """Verify every plugin, and its pack with ``bytecode``; the lock by the policy ``trust``."""
    folder = target.folder
    try:
        trusted = policies.lock_reader(trust) if trust else None
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    verdicts = list(common.verdicts(target, as_json=as_json, read_lock=trusted or lock.read))
    passed = tuple(verdict.value for verdict in verdicts if isinstance(verdict, Ok))
    refusals = tuple(verdict.error for verdict in verdicts if isinstance(verdict, Err))
    for refusal in refusals:
        refusal.under_policy = trust is not None
    covers = trusted.covers if trusted else None
    if not bytecode:
        digests = {found.plugin: found.digest for found, _ in passed}
        packs = compiling.in_words(compiling.packs_in_use(folder.lock, digests, covers))
        return Outcome(folder, passed, refusals, packs=packs)
    unused: dict[str, str] = {}
    for found, _ in passed:
        wrong = compiling.check_pack(found, folder.lock, covers)
        if isinstance(wrong, Refusal):
            refusals = (*refusals, wrong)
        elif wrong is not None:
            unused[found.plugin] = wrong
    if trusted is not None and passed:
        unused.update(signing.unnamed_indexes(folder.lock, trusted.subjects))
    return Outcome(folder, passed, refusals, unused)


def render(outcome: Outcome) -> None:
    """Print the digest of each plugin that passed."""
    for found, _ in outcome.passed:
        click.echo(f"{found.digest}  {found.plugin}")


def advise(outcome: Outcome) -> None:
    """Explain the refusals, and count what was verified."""
    for plugin, reason in (outcome.unused_bytecode or {}).items():
        output.message(printable(f"the bytecode of {plugin} would not be used: {reason}"))
    if outcome.packs:
        output.message(printable(f"packs of bytecode, see --bytecode: {outcome.packs}"))
    files = output.count(sum(len(found.files) for found, _ in outcome.passed), "file")
    rejected = f", {len(outcome.refusals)} rejected" if outcome.refusals else ""
    output.explain(
        outcome.refusals,
        f"{output.count(len(outcome.passed), 'plugin')} verified, {files}{rejected}, against "
        f"{output.shown_path(outcome.folder.lock)}",
    )


def _document(outcome: Outcome) -> documents.Verify:
    made = documents.Verify(
        **common.about(outcome.folder, outcome.refusals),
        verified=[
            documents.VerifiedPlugin(
                plugin=found.plugin,
                version=None if manifest is None else manifest.version,
                files=len(found.files),
                digest=found.digest,
            )
            for found, manifest in outcome.passed
        ],
    )
    if outcome.unused_bytecode is None:
        return made
    return documents.VerifyBytecode(**dict(made), unused_bytecode=dict(outcome.unused_bytecode))


def _watch(target: common.Target, *, as_json: bool, bytecode: bool, trust: str | None) -> None:
    try:
        from codegenie.authoring import watching
    except ImportError:
        raise click.UsageError(
            "--watch needs the package watchfiles; run: pip install 'codegenie[watch]'"
        ) from None
    try:
        folder = target.folder
        for event in watching.events(folder.root, folder.lock):
            if event:
                output.message("")
                output.message(printable(f"{time.strftime('%H:%M:%S')}  {event}"))
            try:
                outcome = run(target, as_json=as_json, bytecode=bytecode, trust=trust)
                finish(outcome, render, advise, as_json=as_json, one_line=True)
            except output.Rejected:
                pass  # already reported; the next change may repair it
            if not event:
                where = output.shown_path(folder.root)
                output.message(f"watching {where} for changes; Ctrl-C ends it")
    except watching.CannotWatch as error:
        output.fail(str(error), as_json=as_json, one_line=True)
    except KeyboardInterrupt:
        output.message("\nstopped watching")
        raise output.Rejected(INTERRUPTED) from None
