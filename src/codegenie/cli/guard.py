"""``codegenie guard``: activate the guard for an interpreter, undo that, show its state."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

import codegenie
from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME
from codegenie.activation import files, places, probe, record
from codegenie.activation.verdict import State, Verdict, judge
from codegenie.cli import documents, output
from codegenie.files import reason
from codegenie.log_target import problem
from codegenie.result import Err
from codegenie.text import printable, quoted

OLDEST_PYTHON = (3, 11)

python_option = click.option(
    "--python",
    default=sys.executable,
    metavar="EXE",
    help="The interpreter. Default: the one that runs this command.",
)

_WHOSE = {
    "ours": "was written by this command",
    "edited": "was edited since this command wrote it",
    "foreign": "was not written by this command",
}

_IN_WORDS = {
    State.ENFORCING: "active, enforcing",
    State.AUDITING: "active, audit only: reports, and refuses nothing",
    State.NOT_PINNED: "active, but not pinned: application code may change it",
    State.REFUSING: "broken: every import of a plugin is refused",
    State.NOT_RUNNING: "NOT ACTIVE, although it is installed",
    State.NOT_INSTALLED: "NOT ACTIVE: not installed",
}

_OWN_FILES_IN_WORDS = {
    record.State.INTACT: "as they were installed",
    record.State.DIFFERENT: "NOT as they were installed",
    record.State.UNUSABLE: "CANNOT BE CHECKED",
    record.State.NOT_CHECKED: "not checked",
}

MAX_SHOWN_FILES = 10


@click.group()
def guard() -> None:
    """Make every start of an interpreter guarded, and see what guards it.

    \b
    Examples:
      codegenie guard install --root /srv/app/plugins
      codegenie guard status
      codegenie guard uninstall
    """


@guard.command()
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
@python_option
@output.json_option
def install(
    root: str,
    lock: str | None,
    scope: str,
    mode: str,
    on_refusal: str,
    log: str | None,
    python: str,
    as_json: bool,
) -> None:
    """Guard every start of an interpreter, with pinned settings.

    Writes a sitecustomize.py to the site-packages of the environment. If the environment has one
    of its own, that one stays, and a .pth file that runs before it is written instead. If some
    starts have a sitecustomize on PYTHONPATH, as with tracing agents, install with that PYTHONPATH.

    Pinned settings override the environment and guard.install(). If codegenie is missing or broken
    at a start, that start refuses every plugin.

    \b
    Examples:
      codegenie guard install --root /srv/app/plugins
      codegenie guard install --root plugins --mode audit --log guard.jsonl
    """
    settings = _settings(root, lock, scope, mode, on_refusal, log)
    start = _start_that_can_be_guarded(python, as_json=as_json)
    folder = Path(start.folder)
    home = _home(python, as_json=as_json)
    _refuse_root_with_other_code(settings["root"], start, home, as_json=as_json)
    try:
        with output.turn(str(folder), as_json=as_json):
            alone = files.may_be_sitecustomize(folder, start.sitecustomize)
            plan = files.plan(
                folder, home, codegenie.__version__, _pinned(settings), sitecustomize=alone
            )
            changes = files.write(plan)
    except files.Occupied as error:
        output.fail(
            f"a file {_WHOSE[error.standing]}, so nothing was written",
            ("file", error.path),
            ("fix", "move it away, and run this again"),
            as_json=as_json,
        )
    except OSError as error:
        _fail_to_write(folder, error, as_json=as_json)
    for path in (*changes.added, *changes.replaced):
        if path.suffix == ".py":
            probe.compile_module(python, str(path))
    verdict = judge(_ask(python), files.present(folder))
    undo = _command("uninstall", python)
    output.result(
        documents.GuardInstall.model_validate(
            {
                "executable": start.executable,
                "version": start.version,
                "folder": str(folder),
                "settings": settings,
                "added": _texts(changes.added),
                "replaced": _texts(changes.replaced),
                "removed": _texts(changes.removed),
                "unchanged": _texts(changes.unchanged),
                "undo": undo,
                **_verdict_fields(verdict),
            }
        ),
        as_json=as_json,
        text=lambda: _show_changes(changes),
    )
    _tell_of_changes(changes, start, settings, alone=alone)
    if verdict.state not in (State.ENFORCING, State.AUDITING):
        _tell(verdict, settings, python)
        output.say("it was written, and does not guard", ("undo", undo))
        raise output.Rejected(1)
    output.say(
        "every start of this interpreter is guarded now, unless it is started with -S"
        if verdict.state is State.ENFORCING
        else "every start of this interpreter is audited now: nothing is refused",
        ("python", start.executable),
        ("check", _command("status", python)),
        ("undo", undo),
    )
    if alone and start.user_site:
        output.say(
            "a sitecustomize in a user's own site-packages would be run instead, for that user"
        )


def _start_that_can_be_guarded(python: str, *, as_json: bool) -> probe.Start:
    """Return a start of ``python``; end the command if a file could not guard that start."""
    start = _ask(python)
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


def _tell_of_changes(
    changes: files.Changes, start: probe.Start, settings: Mapping[str, str], *, alone: bool
) -> None:
    if not (changes.added or changes.replaced or changes.removed):
        output.say("nothing to change: it is installed, with these settings")
    elif not alone:
        output.say(
            "not as sitecustomize.py: there is another one, which runs after the guard",
            ("other", start.sitecustomize or "bytecode of one that is gone"),
        )
    missing = [path for path in (settings["root"], settings["lock"]) if not Path(path).exists()]
    if missing:
        output.say("no plugin passes as long as this does not exist", ("missing", missing[0]))


@guard.command()
@python_option
@output.json_option
def uninstall(python: str, as_json: bool) -> None:
    """Undo what install did: every file is again as it was.

    A file that was edited since is not removed, and the status is 1.

    \b
    Examples:
      codegenie guard uninstall
    """
    start = _ask(python)
    folder = Path(start.folder)
    try:
        with output.turn(str(folder), as_json=as_json):
            changes = files.remove(folder)
    except OSError as error:
        _fail_to_write(folder, error, as_json=as_json)
    output.result(
        documents.GuardUninstall.model_validate(
            {
                "executable": start.executable,
                "version": start.version,
                "folder": str(folder),
                "removed": _texts(changes.removed),
                "kept": {str(path): whose for path, whose in changes.kept.items()},
            }
        ),
        as_json=as_json,
        text=lambda: _show_changes(changes),
    )
    for path, whose in changes.kept.items():
        output.say(
            f"a file {_WHOSE[whose]}, so it was left where it is",
            ("file", path),
            ("fix", "remove it by hand"),
        )
    if changes.kept:
        raise output.Rejected(1)
    if changes.removed:
        output.say("starts of this interpreter are no longer guarded", ("python", start.executable))
    else:
        output.say("there is nothing to undo", ("folder", folder))


@guard.command()
@python_option
@output.json_option
def status(python: str, as_json: bool) -> None:
    """Start an interpreter and report what is really active in it.

    The start is an ordinary one in this environment, with PYTHONPATH and everything else that
    affects a start. The status is 0 if a guard decides by the lock, or audits. It is 1 if there is
    no such guard, or if every plugin is refused because the guard is broken.

    It also compares the files of codegenie there with the RECORD of its installation. The status is
    1 if a file was changed, is missing or was added, or if RECORD is unusable. This check finds
    accidents, not attacks: an attacker who can change the files can change RECORD.

    \b
    Examples:
      codegenie guard status
      codegenie guard status --json --python /usr/bin/python3
    """
    start = _ask(python)
    present = files.present(Path(start.folder))
    verdict = judge(start, present)
    own_files = record.check(start)
    state = start.guard

    def text() -> None:
        rows = [
            ("python", f"{start.executable} ({start.version})"),
            ("guard", _IN_WORDS[verdict.state]),
        ]
        if verdict.reason:
            rows.append(("reason", verdict.reason))
        if verdict.by:
            rows.append(("set up by", verdict.by))
        if verdict.state.is_active:
            rows.extend(
                (key.replace("_", " "), str(state[key]))
                for key in ("root", "lock", "scope", "mode", "on_refusal", "log")
                if state.get(key)
            )
        rows.append(("own files", _own_files_in_words(own_files)))
        for name, value in rows:
            click.echo(printable(f"{name:<12}{value}"))

    output.result(
        documents.GuardStatus.model_validate(
            {
                "executable": start.executable,
                "version": start.version,
                "guard": state,
                **_verdict_fields(verdict),
                "folder": start.folder,
                "files": dict(present),
                "sitecustomize": start.sitecustomize,
                "own_files": {
                    "state": own_files.state.value,
                    "record": own_files.record,
                    "reason": own_files.reason,
                    **_differing(own_files),
                },
            }
        ),
        as_json=as_json,
        text=text,
    )
    _tell(verdict, state, python)
    if not own_files.state.is_healthy:
        _tell_of_own_files(own_files, python)
    if not (verdict.state.is_active and own_files.state.is_healthy):
        raise output.Rejected(1)


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


def _ask(python: str) -> probe.Start:
    answer = probe.ask_start(python)
    if isinstance(answer, Err):
        raise click.BadParameter(
            printable(f"{python}: {answer.error.detail}"), param_hint="--python"
        )
    return answer.value


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


def _install_command(active: Mapping[str, Any], python: str) -> str:
    """Return the command that installs the guard, with the settings of an active guard.

    The mode is left out, so the command enforces.
    """
    root = active.get("root")
    words = ["codegenie", "guard", "install", "--root", str(root or "ROOT")]
    is_default = active.get("lock") == f"{root}/{LOCK_NAME}"
    defaults = {"scope": "all", "on_refusal": "raise"}
    for key in ("lock", "scope", "on_refusal", "log"):
        value = active.get(key)
        if root and value and value != defaults.get(key) and not (key == "lock" and is_default):
            words += [f"--{key.replace('_', '-')}", str(value)]
    if python != sys.executable:
        words += ["--python", python]
    return output.command(*words)


def _tell(verdict: Verdict, active: Mapping[str, Any], python: str) -> None:
    """Explain a state to a person, with the command that helps."""
    install = _install_command(active, python)
    match verdict.state:
        case State.ENFORCING:
            output.say(
                "a start with -S is never guarded; an application can insist on being guarded",
                ("call", "codegenie.plugins.guard.require()"),
            )
        case State.AUDITING:
            output.say(
                "what would be refused is reported; once nothing is, let it enforce",
                ("run", install),
            )
        case State.NOT_PINNED:
            output.say("application code has installed it, and can change it", ("run", install))
        case State.REFUSING if not verdict.supported:
            output.say("plugins are refused until a supported interpreter is used")
        case State.REFUSING:
            output.say(
                "plugins are refused until the guard can be started again",
                ("fix", "install codegenie again, as it was when this was set up"),
                ("or", f"for another version: {install}"),
            )
        case State.NOT_RUNNING:
            output.say("install it once more, in this environment", ("run", install))
        case State.NOT_INSTALLED:
            output.say(
                "an application is guarded from where it imports codegenie.plugins.guard",
                ("run", install),
            )


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


def _verdict_fields(verdict: Verdict) -> dict[str, Any]:
    return {"state": verdict.state.value, "by": verdict.by, "reason": verdict.reason}


def _show_changes(changes: files.Changes) -> None:
    for sign, paths in (("+", changes.added), ("~", changes.replaced), ("-", changes.removed)):
        for path in paths:
            output.change(sign, str(path))


def _texts(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths]


def _command(name: str, python: str) -> str:
    which = () if python == sys.executable else ("--python", python)
    return output.command("codegenie", "guard", name, *which)


def _fail_to_write(folder: Path, error: OSError, *, as_json: bool) -> NoReturn:
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container the user id may have no name
        user = str(os.geteuid())
    output.fail(
        f"the folder cannot be written by the user {user}: {reason(error)}",
        ("folder", folder),
        ("fix", "run this as its owner, or while the image is built"),
        as_json=as_json,
    )
