"""``codegenie guard install``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

import codegenie
from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME
from codegenie.activation import files, places, probe
from codegenie.activation.verdict import State, Verdict, judge
from codegenie.cli import documents, output
from codegenie.cli.guard import common
from codegenie.cli.outcome import finish
from codegenie.cli.trust import pinning
from codegenie.log_target import problem
from codegenie.result import Err
from codegenie.text import printable, quoted

OLDEST_PYTHON = (3, 11)


@click.command()
@click.option("--root", required=True, type=click.Path(file_okay=False), help="The plugin folder.")
@click.option("--lock", type=click.Path(dir_okay=False), help="Default: ROOT/PLUGINS.lock.")
@click.option(
    "--scope",
    type=click.Choice(["all", "plugin"]),
    default="all",
    help="all: one bad plugin refuses all plugins; plugin: only itself.  [default: all]",
)
@click.option(
    "--mode",
    type=click.Choice(["enforce", "audit"]),
    default="enforce",
    help="audit: report what would be refused, and refuse nothing.  [default: enforce]",
)
@click.option(
    "--on-refusal",
    type=click.Choice(["raise", "exit"]),
    default="raise",
    help="exit: end the process with status 4.  [default: raise]",
)
@click.option("--log", metavar="FILE|fd:N", help="Append one line of JSON per decision to it.")
@pinning.trust_option
@pinning.trust_at_option
@pinning.allow_rollback_option
@common.python_option
@output.json_option
def install(
    root: str,
    lock: str | None,
    scope: str,
    mode: str,
    on_refusal: str,
    log: str | None,
    trust: str | None,
    trust_at: str,
    allow_rollback: bool,
    python: str,
    as_json: bool,
) -> None:
    """Guard every start of an interpreter, with pinned settings.

    Writes a sitecustomize.py to the site-packages of the environment. If the environment has one
    of its own, that one stays, and a .pth file that runs before it is written instead. If some
    starts have a sitecustomize on PYTHONPATH, as with tracing agents, install with that PYTHONPATH.

    Pinned settings override the environment and guard.install(). If codegenie is missing or broken
    at a start, that start refuses every plugin.

    With --trust, the lock is verified against the policy now. The policy and the number of the
    statement are pinned, so that no start accepts an older statement or another policy.

    \b
    Examples:
      codegenie guard install --root /srv/app/plugins
      codegenie guard install --root plugins --mode audit --log guard.jsonl
      codegenie guard install --root /srv/app/plugins --trust trust.json
    """
    settings = _settings(root, lock, scope, mode, on_refusal, log)
    wishes = pinning.Wishes(trust, trust_at, allow_rollback)
    finish(run(settings, python, wishes, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The files that were written, and the verdict on a start after that.

    Attributes:
        alone: the guard is activated by ``sitecustomize.py``, and no other one exists.
    """

    python: str
    document: documents.GuardInstall
    changes: files.Changes
    start: probe.Start
    verdict: Verdict
    alone: bool

    @property
    def status(self) -> int:
        return 0 if self.verdict.state in (State.ENFORCING, State.AUDITING) else 1


def run(
    settings: Mapping[str, str], python: str, wishes: pinning.Wishes, *, as_json: bool
) -> Outcome:
    """Write the activation files, and start the interpreter again to see what they do."""
    start = _start_that_can_be_guarded(python, as_json=as_json)
    folder = Path(start.folder)
    home = _home(python, as_json=as_json)
    _refuse_root_with_other_code(settings["root"], start, home, as_json=as_json)
    pinned = pinning.pin(_pinned(settings), wishes, start.guard, as_json=as_json)
    try:
        with output.turn(str(folder), as_json=as_json):
            alone = files.may_be_sitecustomize(folder, start.sitecustomize)
            plan = files.plan(folder, home, codegenie.__version__, pinned, sitecustomize=alone)
            changes = files.write(plan)
    except files.Occupied as error:
        output.fail(
            f"a file {common.WHOSE[error.standing]}, so nothing was written",
            ("file", error.path),
            ("fix", "move it away, and run this again"),
            as_json=as_json,
        )
    except OSError as error:
        common.fail_to_write(folder, error, as_json=as_json)
    for path in (*changes.added, *changes.replaced):
        if path.suffix == ".py":
            probe.compile_module(python, str(path))
    verdict = judge(common.ask(python), files.present(folder))
    document = documents.GuardInstall.model_validate(
        {
            **common.of_interpreter(start),
            **common.verdict_fields(verdict),
            "settings": settings,
            "trust": pinning.summary(pinned),
            "added": common.texts(changes.added),
            "replaced": common.texts(changes.replaced),
            "removed": common.texts(changes.removed),
            "unchanged": common.texts(changes.unchanged),
            "undo": common.command("uninstall", python),
        }
    )
    return Outcome(python, document, changes, start, verdict, alone)


def render(outcome: Outcome) -> None:
    """Print the files that were written."""
    common.show_changes(outcome.changes)


def advise(outcome: Outcome) -> None:
    """Say what a start does now, how to check it, and how to undo it."""
    document, settings = outcome.document, outcome.document.settings
    _tell_of_changes(outcome)
    if outcome.status:
        common.advise_on(outcome.verdict, settings, outcome.python)
        output.say("it was written, and does not guard", ("undo", document.undo))
        return
    output.say(
        "every start of this interpreter is guarded now, unless it is started with -S"
        if outcome.verdict.state is State.ENFORCING
        else "every start of this interpreter is audited now: nothing is refused",
        ("python", document.executable),
        ("check", common.command("status", outcome.python)),
        ("undo", document.undo),
    )
    if outcome.alone and outcome.start.user_site:
        output.say(
            "a sitecustomize in a user's own site-packages would be run instead, for that user"
        )


def _tell_of_changes(outcome: Outcome) -> None:
    changes, settings = outcome.changes, outcome.document.settings
    if not (changes.added or changes.replaced or changes.removed):
        output.say("nothing to change: it is installed, with these settings")
    elif not outcome.alone:
        output.say(
            "not as sitecustomize.py: there is another one, which runs after the guard",
            ("other", outcome.start.sitecustomize or "bytecode of one that is gone"),
        )
    missing = [path for path in (settings["root"], settings["lock"]) if not Path(path).exists()]
    if missing:
        output.say("no plugin passes as long as this does not exist", ("missing", missing[0]))


def _start_that_can_be_guarded(python: str, *, as_json: bool) -> probe.Start:
    """Return a start of ``python``; end the command if a file could not guard that start."""
    start = common.ask(python)
    version = tuple(int(part) for part in re.findall(r"\d+", start.version)[:2])
    if version < OLDEST_PYTHON:
        raise click.BadParameter(
            printable(f"{python} is Python {start.version}; codegenie needs 3.11 or newer"),
            param_hint="--python",
        )
    if not start.on_path:
        output.fail(
            "nothing that is written there would be run: it is not on sys.path",
            ("folder", start.folder),
            ("python", python),
            as_json=as_json,
        )
    return start


def _refuse_root_with_other_code(
    root: str, start: probe.Start, home: str, *, as_json: bool
) -> None:
    held = places.first_held(root, {**start.places, "codegenie": f"{home}/codegenie"})
    if held is not None:
        output.fail(
            f"the root holds {held[0]}, so code that is no plugin would be refused",
            ("root", root),
            ("holds", held[1]),
            ("fix", "give the plugins a folder of their own, or move the environment out of it"),
            as_json=as_json,
        )


def _settings(
    root: str, lock: str | None, scope: str, mode: str, on_refusal: str, log: str | None
) -> dict[str, str]:
    for option, value in (("--root", root), ("--lock", lock), ("--log", log)):
        if value == "":
            raise click.BadParameter("must not be empty", param_hint=option)
    settings = {
        "root": _absolute(root),
        "lock": _absolute(lock or f"{root}/{LOCK_NAME}"),
        "scope": scope,
        "mode": mode,
        "on_refusal": on_refusal,
    }
    if log:
        is_descriptor = log.startswith("fd:")
        if is_descriptor and not re.fullmatch(r"fd:\d+", log):
            raise click.BadParameter(f"{log!r} names no descriptor, as fd:3", param_hint="--log")
        settings["log"] = log if is_descriptor else _absolute(log)
        found = problem(settings["log"])
        if found:
            raise click.BadParameter(printable(f"{log} {found}"), param_hint="--log")
    return settings


def _pinned(settings: Mapping[str, str]) -> dict[str, object]:
    """Return the settings in the form of an activation file, with one guarded folder."""
    folder = {
        "root": settings["root"],
        "lock": settings["lock"],
        "package": DEFAULT_PACKAGE,
        "others": "refuse",
    }
    others = {name: value for name, value in settings.items() if name not in folder}
    return {"folders": [folder], **others}


def _absolute(path: str) -> str:
    """Return an absolute path without following links, because a link may change later."""
    return os.path.abspath(path)  # noqa: PTH100


def _home(python: str, *, as_json: bool) -> str:
    """Return the folder of the package ``codegenie`` that every start of ``python`` can import."""
    answer = probe.ask_codegenie(python)
    if isinstance(answer, Err):
        raise click.BadParameter(
            printable(f"{python}: {answer.error.detail}"), param_hint="--python"
        )
    found = answer.value
    ours = codegenie.__version__
    again = ("run", f"{quoted(python)} -m pip install codegenie=={ours}")
    if found.version is not None and found.version != ours:
        output.fail(
            f"codegenie is {found.version} there, and {ours} here, so nothing was written",
            ("there", found.folder),
            again,
            as_json=as_json,
        )
    if found.unsupported is not None:
        output.fail(
            "nothing was written: the guard would refuse every plugin there",
            ("reason", found.unsupported),
            ("python", python),
            as_json=as_json,
        )
    if found.broken is not None or found.folder is None:
        output.fail(
            "codegenie cannot be imported there, so nothing was written",
            ("reason", found.broken),
            ("python", python),
            again,
            ("note", "a copy on PYTHONPATH is not there at every start, and does not count"),
            as_json=as_json,
        )
    return str(Path(found.folder).parent)
