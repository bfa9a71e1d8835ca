"""``codegenie guard status``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import codegenie
from codegenie.activation import files, record
from codegenie.activation.verdict import GuardState, Verdict, verdict_of
from codegenie.cli import documents, output
from codegenie.cli.guard import common, health
from codegenie.cli.outcome import finish
from codegenie.cli.trust import pinning
from codegenie.refusals.record import Refusal
from codegenie.result import Err
from codegenie.text import printable, quoted

_IN_WORDS = {
    GuardState.ENFORCING: "active, enforcing",
    GuardState.AUDITING: "active, audit only: reports, and refuses nothing",
    GuardState.NOT_PINNED: "active, but not pinned: application code may change it",
    GuardState.REFUSING: "broken: every import of a plugin is refused",
    GuardState.NOT_RUNNING: "NOT ACTIVE, although it is installed",
    GuardState.NOT_INSTALLED: "NOT ACTIVE: not installed",
}

_OWN_FILES_IN_WORDS = {
    record.RecordState.INTACT: "as they were installed",
    record.RecordState.DIFFERENT: "NOT as they were installed",
    record.RecordState.UNUSABLE: "CANNOT BE CHECKED",
    record.RecordState.NOT_CHECKED: "not checked",
}

MAX_SHOWN_FILES = 10

_OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}."


@click.command()
@click.option("--verify", is_flag=True, help="Also verify every plugin of each guarded folder.")
@common.python_option
@output.json_option
def status(verify: bool, python: str, as_json: bool) -> None:
    """Start an interpreter and report what is really active in it.

    The start is an ordinary one in this environment, with PYTHONPATH and everything else that
    affects a start. So this is a health check of a deployment: the status is 0 only if the guard
    enforces and every guarded folder exists and has a valid lock. It is 4 for a lock that is not
    valid and for a plugin that --verify rejects, and 1 for everything else.

    It also compares the files of codegenie there with the RECORD of its installation. The status is
    1 if a file was changed, is missing or was added, or if RECORD is unusable. This check finds
    accidents, not attacks: an attacker who can change the files can change RECORD.

    \b
    Examples:
      codegenie guard status
      codegenie guard status --verify
      codegenie guard status --json --python /usr/bin/python3
    """
    finish(run(python, verify=verify), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The state of a start, and of the installed ``codegenie``."""

    python: str
    document: documents.GuardStatus
    verdict: Verdict
    guard: Mapping[str, Any]
    own_files: record.Installation
    folders: tuple[health.FolderHealth, ...]
    trust_statuses: tuple[pinning.TrustStatus, ...] = ()
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """The settings in the activation file."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Every refusal of a folder, and of each lock that the pinned policy does not trust."""
        of_folders = (refusal for folder in self.folders for refusal in folder.refusals)
        verdicts = (trust.verdict for trust in self.trust_statuses)
        return (*of_folders, *(found.error for found in verdicts if isinstance(found, Err)))

    @property
    def status(self) -> int:
        is_guarded = self.guard.get("mode") == "enforce" and self.verdict.state.is_active
        are_known = bool(self.folders) and not any(folder.problem for folder in self.folders)
        if not (is_guarded and are_known and self.own_files.state.is_healthy):
            return 1
        return output.status_of(self.refusals)


def run(python: str, *, verify: bool = False) -> Outcome:
    """Start the interpreter, and collect what is active in it."""
    start = common.ask(python)
    present = files.present(Path(start.folder))
    verdict = verdict_of(start, present)
    own_files = record.check(start)
    statuses = tuple(pinning.trust_statuses(start.guard))
    pinned = files.pinned_settings(Path(start.folder)) or {}
    folders = health.check_all(
        start.guard if verdict.state.is_active else {},
        pinned,
        verify=verify,
        with_packs=start.version.startswith(_OWN_VERSION),
    )
    document = documents.GuardStatus.model_validate(
        {
            **common.of_interpreter(start),
            **common.verdict_fields(verdict),
            "guard": start.guard,
            "folders": [folder.document for folder in folders],
            "files": dict(present),
            "sitecustomize": start.sitecustomize,
            "trust": [_trust(trust) for trust in statuses],
            "own_files": {
                "state": own_files.state.value,
                "record": own_files.record,
                "reason": own_files.reason,
                **_differing(own_files),
            },
        }
    )
    return Outcome(python, document, verdict, start.guard, own_files, folders, statuses, pinned)


def render(outcome: Outcome) -> None:
    """Print one line for each fact."""
    document, verdict = outcome.document, outcome.verdict
    rows = [
        ("python", f"{document.executable} ({document.version})"),
        ("guard", _IN_WORDS[verdict.state]),
    ]
    if verdict.reason:
        rows.append(("reason", verdict.reason))
    if verdict.by:
        rows.append(("set up by", verdict.by))
    if verdict.state.is_active:
        rows.extend(
            (key.replace("_", " "), str(outcome.guard[key]))
            for key in ("scope", "mode", "on_refusal", "log")
            if outcome.guard.get(key)
        )
    for folder in outcome.folders:
        rows.extend(folder.rows)
    for trust in outcome.trust_statuses:
        rows.extend(pinning.rows(trust))
    rows.append(("own files", _own_files_in_words(outcome.own_files)))
    for name, value in rows:
        click.echo(printable(f"{name:<12}{value}"))


def advise(outcome: Outcome) -> None:
    """Say what helps: about the guard, and about the files of ``codegenie``."""
    for refusal in outcome.refusals:
        output.message(f"{refusal.explanation()}\n")
    settings = outcome.guard if outcome.guard.get("folders") else outcome.pinned
    common.advise_on(outcome.verdict, settings, outcome.python)
    if any(folder.names_differ for folder in outcome.folders):
        output.say(
            "a lock has other names than the activation, so install the guard again",
            ("run", common.install_command(outcome.guard, outcome.python)),
        )
    if not outcome.own_files.state.is_healthy:
        _tell_of_own_files(outcome.own_files, outcome.python)


def _trust(trust: pinning.TrustStatus) -> dict[str, Any]:
    if isinstance(trust.verdict, Err):
        detail, found = trust.verdict.error.evidence["detail"], {}
    else:
        detail, found = None, trust.verdict.value.as_dict()
    names = ("sequence", "statement", "issued", "expires", "days_left")
    return {
        "root": trust.folder.root,
        "trusted": detail is None,
        "signers": found.get("signers", []),
        **{name: found.get(name) for name in names},
        "detail": detail,
    }


def _differing(found: record.Installation) -> dict[str, tuple[str, ...]]:
    return {"changed": found.changed, "missing": found.missing, "added": found.added}


def _own_files_in_words(found: record.Installation) -> str:
    counts = [f"{len(names)} {label}" for label, names in _differing(found).items() if names]
    why = found.reason or ", ".join(counts)
    return _OWN_FILES_IN_WORDS[found.state] + (f": {why}" if why else "")


def _tell_of_own_files(found: record.Installation, python: str) -> None:
    """Explain how the installed ``codegenie`` differs, by file, with the command that helps."""
    rows = [(label, name) for label, names in _differing(found).items() for name in names]
    shown = rows[:MAX_SHOWN_FILES]
    if len(rows) > len(shown):
        shown.append(("and", f"{len(rows) - len(shown)} more: --json lists them all"))
    if found.record is not None:
        shown.append(("record", found.record))
    if found.added:
        shown.append(("first", "remove what was added: installing again leaves it there"))
    again = f"{quoted(python)} -m pip install --force-reinstall --no-deps codegenie"
    output.say(
        "the codegenie there is not what was installed: do not rely on what it says"
        if rows
        else f"the codegenie there cannot be checked: {found.reason}",
        *shown,
        ("fix", f"{again}=={codegenie.__version__}"),
    )
