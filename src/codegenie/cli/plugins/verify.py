"""``codegenie plugins verify``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import click

from codegenie.authoring import compiling
from codegenie.cli import documents, output
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals.record import Refusal
from codegenie.result import Err
from codegenie.text import printable

INTERRUPTED = 130
"""The status after Ctrl-C, as in shells: 128 plus the number of the signal."""


@click.command()
@common.on_a_folder
@click.option(
    "--bytecode",
    is_flag=True,
    help="Recompile every module, and compare with the packs of this interpreter.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Verify again whenever something changes, until Ctrl-C. With --json: one document per "
    "line.",
)
def verify(root: str, lock_path: str | None, as_json: bool, bytecode: bool, watch: bool) -> None:
    """Check every plugin below ROOT against the lock.

    Prints the digest of each plugin that passed; exits 4 if any did not.

    \b
    Examples:
      codegenie plugins verify
      codegenie plugins verify --json examples/plugins
      codegenie plugins verify --watch
    """
    folder = GuardedFolder.at(root, lock_path)
    if watch:
        _watch(folder, as_json=as_json, bytecode=bytecode)
    else:
        _report(_verify(folder, as_json=as_json, bytecode=bytecode), as_json=as_json)


@dataclass
class _Outcome:
    folder: GuardedFolder
    passed: list[tuple[VerifiedTree, PluginManifest | None]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unused_bytecode: dict[str, str] | None = None


def _verify(folder: GuardedFolder, *, as_json: bool, bytecode: bool) -> _Outcome:
    outcome = _Outcome(folder)
    for verdict in common.verdicts(folder, as_json=as_json):
        if isinstance(verdict, Err):
            outcome.refusals.append(verdict.error)
        else:
            outcome.passed.append(verdict.value)
    if bytecode:
        outcome.unused_bytecode = {}
        for found, _ in outcome.passed:
            wrong = compiling.check_pack(found, folder.lock)
            if isinstance(wrong, Refusal):
                outcome.refusals.append(wrong)
            elif wrong is not None:
                outcome.unused_bytecode[found.plugin] = wrong
    return outcome


def _report(outcome: _Outcome, *, as_json: bool, one_line: bool = False) -> None:
    def text() -> None:
        for found, _ in outcome.passed:
            click.echo(f"{found.digest}  {found.plugin}")

    output.result(_document(outcome), as_json=as_json, text=text, one_line=one_line)
    for plugin, reason in (outcome.unused_bytecode or {}).items():
        output.message(printable(f"the bytecode of {plugin} would not be used: {reason}"))
    files = output.count(sum(len(found.files) for found, _ in outcome.passed), "file")
    rejected = f", {len(outcome.refusals)} rejected" if outcome.refusals else ""
    output.conclude(
        outcome.refusals,
        f"{output.count(len(outcome.passed), 'plugin')} verified, {files}{rejected}, against "
        f"{output.shown_path(outcome.folder.lock)}",
    )


def _document(outcome: _Outcome) -> documents.Verify:
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
    return documents.VerifyBytecode(**dict(made), unused_bytecode=outcome.unused_bytecode)


def _watch(folder: GuardedFolder, *, as_json: bool, bytecode: bool) -> None:
    try:
        from codegenie.authoring import watching
    except ImportError:
        raise click.UsageError(
            "--watch needs the package watchfiles; run: pip install 'codegenie[watch]'"
        ) from None
    try:
        for event in watching.events(folder.root, folder.lock):
            if event:
                output.message("")
                output.message(printable(f"{time.strftime('%H:%M:%S')}  {event}"))
            try:
                outcome = _verify(folder, as_json=as_json, bytecode=bytecode)
                _report(outcome, as_json=as_json, one_line=True)
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
