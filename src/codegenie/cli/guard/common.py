"""Share the interpreter's answers, words and advice between the commands of ``guard``."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME
from codegenie.activation import files, probe
from codegenie.activation.verdict import GuardState, Verdict
from codegenie.cli import configuration, output
from codegenie.cli.plugins.common import DEFAULT_ROOT
from codegenie.files import reason
from codegenie.result import Err
from codegenie.text import printable
from codegenie.trust.pinned import AT_START

python_option = click.option(
    "--python",
    default=sys.executable,
    metavar="EXE",
    help="The interpreter. Default: the one that runs this command.",
)

WHOSE = {
    "ours": "was written by this command",
    "edited": "was edited since this command wrote it",
    "foreign": "was not written by this command",
}


def ask(python: str) -> probe.Start:
    """Return what is active in a start of ``python``.

    Raises:
        click.BadParameter: the interpreter does not answer.
    """
    answer = probe.ask_start(python)
    if isinstance(answer, Err):
        raise click.BadParameter(
            printable(f"{python}: {answer.error.detail}"), param_hint="--python"
        )
    return answer.value


def of_interpreter(start: probe.Start) -> dict[str, Any]:
    """Return the fields of every document about an interpreter."""
    return {"executable": start.executable, "version": start.version, "folder": start.folder}


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return the fields of a document that has a verdict."""
    return {"state": verdict.state.value, "by": verdict.by, "reason": verdict.reason}


def command(name: str, python: str) -> str:
    """Return a command of ``codegenie guard`` for the same interpreter."""
    which = () if python == sys.executable else ("--python", python)
    return output.command("codegenie", "guard", name, *which)


def show_changes(changes: files.Changes) -> None:
    """Print one line for each file that was written or removed."""
    for sign, paths in (("+", changes.added), ("~", changes.replaced), ("-", changes.removed)):
        for path in paths:
            output.change(sign, str(path))


def texts(paths: Iterable[Path]) -> list[str]:
    """Return paths as text."""
    return [str(path) for path in paths]


def fail_to_write(folder: Path, error: OSError, *, as_json: bool) -> NoReturn:
    """End the command, because this user cannot write there."""
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


def install_command(settings: Mapping[str, Any], python: str) -> str:
    """Return the command that installs the guard again with the same settings.

    The mode is left out, so the command enforces.

    Args:
        settings: the status of an active guard, or the settings in an activation file.
        python: the interpreter.
    """
    words = ["codegenie", "guard", "install", *_folder_options(settings.get("folders") or ())]
    defaults = {"scope": "all", "on_refusal": "raise"}
    for key in ("scope", "on_refusal", "log"):
        value = settings.get(key)
        if value and value != defaults.get(key):
            words += [f"--{key.replace('_', '-')}", str(value)]
    trust = settings.get("trust")
    if trust:
        words += ["--trust", trust["policy"]]
        words += ["--trust-at", trust["at"]] if trust["at"] != AT_START else []
    if python != sys.executable:
        words += ["--python", python]
    return output.command(*words)


def _configuration_of(roots: Collection[str]) -> str | None:
    """Return the nearest configuration if it names these folders; any if none is given."""
    try:
        found = configuration.nearest()
    except click.UsageError:
        return None
    configured = {os.path.realpath(one.folder.root) for one in (found.folders if found else ())}
    wanted = {os.path.realpath(root) for root in roots} or configured
    return (
        output.shortest_path(found.path) if found and configured and configured == wanted else None
    )


def _folder_options(folders: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [folder for folder in folders if folder.get("root")]
    if len(known) != 1:
        config = _configuration_of([folder["root"] for folder in known])
        if known or config:
            return ["--config", config or configuration.FILE_NAME]
        is_locked = Path(DEFAULT_ROOT, LOCK_NAME).exists()
        return ["--root", DEFAULT_ROOT if is_locked else "ROOT"]
    (folder,) = known
    root = folder["root"]
    words = ["--root", str(root)]
    package = folder.get("package", DEFAULT_PACKAGE)
    if package != DEFAULT_PACKAGE:
        words += ["--no-package"] if package is None else ["--package", package]
    lock = folder.get("lock")
    if lock and lock != f"{root}/{LOCK_NAME}":
        words += ["--lock", lock]
    if folder.get("others") == "leave":
        words += ["--others", "leave"]
    return words


def advise_on(verdict: Verdict, active: Mapping[str, Any], python: str) -> None:
    """Explain a state to a person, with the command that helps."""
    install = install_command(active, python)
    match verdict.state:
        case GuardState.ENFORCING:
            output.say(
                "a start with -S is never guarded; an application can insist on being guarded",
                ("call", "codegenie.plugins.guard.require()"),
            )
        case GuardState.AUDITING:
            output.say(
                "what would be refused is reported; once nothing is, let it enforce",
                ("run", install),
            )
        case GuardState.NOT_PINNED:
            output.say("application code has installed it, and can change it", ("run", install))
        case GuardState.REFUSING if not verdict.supported:
            output.say("plugins are refused until a supported interpreter is used")
        case GuardState.REFUSING:
            output.say(
                "plugins are refused until the guard can be started again",
                ("fix", "install codegenie again, as it was when this was set up"),
                ("or", f"for another version: {install}"),
            )
        case GuardState.NOT_RUNNING:
            output.say("install it once more, in this environment", ("run", install))
        case GuardState.NOT_INSTALLED:
            output.say(
                "an application is guarded from where it imports codegenie.plugins.guard",
                ("run", install),
            )
