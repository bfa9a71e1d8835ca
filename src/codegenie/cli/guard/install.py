"""``codegenie guard install``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

import codegenie
from codegenie._start import DEFAULT_PACKAGE
from codegenie.activation import files, probe
from codegenie.activation.verdict import GuardState, Verdict, verdict_of
from codegenie.cli import documents, output
from codegenie.cli.guard import common
from codegenie.cli.guard import folders as choice
from codegenie.cli.outcome import finish
from codegenie.cli.trust import pinning
from codegenie.guarded_folder import GuardedFolder
from codegenie.log_target import problem
from codegenie.result import Err
from codegenie.text import printable, quoted

OLDEST_PYTHON = (3, 11)


@click.command()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, exists=True),
    metavar="FILE",
    help="The folders of a codegenie.toml, instead of one folder.",
)
@click.option(
    "--root", "roots", multiple=True, type=click.Path(file_okay=False), help="The plugin folder."
)
@click.option(
    "--package",
    metavar="P",
    help='The package that the folder is; "" for top-level modules.  [default: plugins]',
)
@click.option("--no-package", is_flag=True, help="The folder claims no name: plugins load by path.")
@click.option("--lock", type=click.Path(dir_okay=False), help="Default: ROOT/PLUGINS.lock.")
@click.option(
    "--others",
    type=click.Choice(["refuse", "leave"]),
    help="leave: guard only what the lock names, in a shared folder.  [default: refuse]",
)
@click.option(
    "--replace", is_flag=True, help="Stop guarding all folders that are not named this time."
)
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
    config: str | None,
    roots: tuple[str, ...],
    package: str | None,
    no_package: bool,
    lock: str | None,
    others: str | None,
    replace: bool,
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
    at a start, that start refuses every plugin. Many hosts swallow a refusal and run on without the
    plugin: --on-refusal exit with --log ends them instead, with the reason as the last lines.

    With --trust, the lock is verified against the policy now. The policy and the number of the
    statement are pinned, so that no start accepts an older statement or another policy.

    \b
    Examples:
      codegenie guard install --root /srv/app/plugins
      codegenie guard install --root plugins --mode audit --log guard.jsonl
      codegenie guard install --root custom_components \\
        --package custom_components --on-refusal exit --log guard.jsonl
      codegenie guard install --config codegenie.toml
      codegenie guard install --root /srv/app/plugins --trust trust.json
    """
    folders = choice.from_options(config, roots, package, no_package, lock, others)
    settings = {"scope": scope, "mode": mode, "on_refusal": on_refusal, **_log(log)}
    wishes = pinning.Wishes(trust, trust_at, allow_rollback)
    wanted = Wanted(folders, settings, wishes, replace)
    finish(run(wanted, python, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Wanted:
    """The folders and the settings to pin.

    Attributes:
        settings: those for all folders.
        trust: the policy that each lock must satisfy, if there is one.
        replace: folders that are guarded now may be left out.
    """

    folders: tuple[GuardedFolder, ...]
    settings: Mapping[str, str]
    trust: pinning.Wishes
    replace: bool = False


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
        return 0 if self.verdict.state in (GuardState.ENFORCING, GuardState.AUDITING) else 1


def run(wanted: Wanted, python: str, *, as_json: bool) -> Outcome:
    """Write the activation files, and start the interpreter again to see what they do."""
    start = _start_that_can_be_guarded(python, as_json=as_json)
    folder = Path(start.folder)
    home = _home(python, as_json=as_json)
    choice.refuse_other_code(wanted.folders, start, home, as_json=as_json)
    folders = choice.pinned(wanted.folders, as_json=as_json)
    settings = {"folders": folders, **wanted.settings}
    try:
        with output.turn(str(folder), as_json=as_json):
            # Within the turn: an installation at the same time may raise the floor.
            before = files.pinned_settings(folder) or {}
            pinned = pinning.pin(settings, wanted.trust, before, as_json=as_json)
            choice.refuse_unguarding(
                folder, wanted.folders, replace=wanted.replace, as_json=as_json
            )
            alone = files.may_be_sitecustomize(folder, start.sitecustomize)
            plan = files.plan(folder, home, codegenie.__version__, pinned, sitecustomize=alone)
            changes = files.write_plan(plan)
    except files.Occupied as error:
        output.fail(
            f"a file {common.WHOSE[error.owner]}, so nothing was written",
            ("file", error.path),
            ("fix", "move it away, and run this again"),
            as_json=as_json,
        )
    except OSError as error:
        common.fail_to_write(folder, error, as_json=as_json)
    for path in (*changes.added, *changes.replaced):
        if path.suffix == ".py":
            probe.compile_module(python, str(path))
    verdict = verdict_of(common.ask(python), files.present(folder))
    document = documents.GuardInstall.model_validate(
        {
            **common.of_interpreter(start),
            **common.verdict_fields(verdict),
            "folders": folders,
            "settings": dict(wanted.settings),
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
    document = outcome.document
    _tell_of_changes(outcome)
    if outcome.status:
        active = {**document.settings, "folders": document.model_dump()["folders"]}
        common.advise_on(outcome.verdict, active, outcome.python)
        output.say("it was written, and does not guard", ("undo", document.undo))
        return
    output.say(
        "every start of this interpreter is guarded now, unless it is started with -S"
        if outcome.verdict.state is GuardState.ENFORCING
        else "every start of this interpreter is audited now: nothing is refused",
        *(
            ("folder", f"{folder.root} ({choice.shown(folder.model_dump())})")
            for folder in document.folders
        ),
        ("python", document.executable),
        ("check", common.command("status", outcome.python)),
        ("undo", document.undo),
    )
    if outcome.alone and outcome.start.user_site:
        output.say(
            "a sitecustomize in a user's own site-packages would be run instead, for that user"
        )


def _tell_of_changes(outcome: Outcome) -> None:
    changes, folders = outcome.changes, outcome.document.folders
    if not (changes.added or changes.replaced or changes.removed):
        output.say("nothing to change: it is installed, with these settings")
    elif not outcome.alone:
        output.say(
            "not as sitecustomize.py: there is another one, which runs after the guard",
            ("other", outcome.start.sitecustomize or "bytecode of one that is gone"),
        )
    missing = [folder.lock for folder in folders if not Path(folder.lock).exists()]
    if missing:
        output.say("no plugin passes as long as this does not exist", ("missing", missing[0]))
    hosts = [folder for folder in folders if folder.package != DEFAULT_PACKAGE]
    if hosts and outcome.document.settings["on_refusal"] == "raise":
        output.say(
            "a host may swallow a refusal, and run on without the plugin",
            ("instead", "add --on-refusal exit --log FILE"),
        )


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


def _log(log: str | None) -> dict[str, str]:
    """Return the setting of the event log, or nothing.

    Raises:
        click.BadParameter: no log could be written there.
    """
    if log is None:
        return {}
    if log == "":
        raise click.BadParameter("must not be empty", param_hint="--log")
    is_descriptor = log.startswith("fd:")
    if is_descriptor and not re.fullmatch(r"fd:\d+", log):
        raise click.BadParameter(f"{log!r} names no descriptor, as fd:3", param_hint="--log")
    target = log if is_descriptor else _absolute(log)
    found = problem(target)
    if found:
        raise click.BadParameter(printable(f"{log} {found}"), param_hint="--log")
    return {"log": target}


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
