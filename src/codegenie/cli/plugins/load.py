"""``codegenie plugins load``."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TextIO

import click

from codegenie._start import DEFAULT_PACKAGE
from codegenie.cli import documents, output, streams
from codegenie.cli.outcome import finish
from codegenie.cli.plugins import common
from codegenie.plugins import loader
from codegenie.plugins.errors import GuardSettled
from codegenie.plugins.registry import PluginRegistry, name_of
from codegenie.refusals import explanation
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Result
from codegenie.text import printable


@click.command()
@common.on_folders
def load(targets: common.Targets, as_json: bool) -> None:
    """Import and register every plugin as an application does.

    This executes the code of the plugins below ROOT, if all of them match the lock. Their output
    goes to standard error.

    \b
    Examples:
      codegenie plugins load
      codegenie plugins load --json examples/plugins
    """
    outcome = run(_only_one(targets), as_json=as_json)
    with contextlib.redirect_stdout(outcome.standard_output):
        finish(outcome, render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The plugins that were loaded, and the refusal if there is one.

    Attributes:
        standard_output: the stream for the result. Plugins write to standard error.
        traceback: the lines of what a plugin has raised.
    """

    document: documents.Load
    refusals: tuple[Refusal, ...]
    standard_output: TextIO | None
    traceback: tuple[str, ...]

    @property
    def status(self) -> int:
        return output.status_of(self.refusals)


def run(target: common.Target, *, as_json: bool) -> Outcome:
    """Install the guard in this process, and load the plugins through it."""
    from codegenie.plugins.guard import install  # importing it installs it

    folder = target.folder
    registry = PluginRegistry()
    # The result must show if the plugins pass, so the environment must not set audit mode.
    try:
        install(mode="enforce", on_refusal="raise")
    except GuardSettled as error:
        said = str(error).partition("\n")[0]
        output.fail(said, ("help", explanation.help_command("guard_settled")), as_json=as_json)
    standard_output = _divert_standard_output()
    loaded = loader.run_gates(folder.root, folder.lock, registry=registry)
    refusals = (loaded.error,) if isinstance(loaded, Err) else ()
    report = None if isinstance(loaded, Err) else loaded.value
    document = documents.Load(
        **common.about(folder, refusals),
        loaded=list(report.loaded) if report else [],
        registered=[name_of(plugin) for plugin in registry.all()] if report else [],
        total_walked=report.total_walked if report else None,
    )
    return Outcome(document, refusals, standard_output, _cause(loaded))


def render(outcome: Outcome) -> None:
    """Print the names of the plugins that were loaded."""
    for name in outcome.document.loaded:
        click.echo(name)


def advise(outcome: Outcome) -> None:
    """Show what a plugin has raised, and explain the refusal."""
    for line in outcome.traceback:
        output.message(printable(line))
    rejected = f", {len(outcome.refusals)} rejected" if outcome.refusals else ""
    document = outcome.document
    output.explain(
        outcome.refusals,
        f"{output.count(len(document.loaded), 'plugin')} loaded, "
        f"{len(document.registered)} registered{rejected}",
    )


def _only_one(targets: common.Targets) -> common.Target:
    """Return the folder that was given, or the configured one of the package ``plugins``."""
    if not targets.are_configured:
        return targets.folders[0]
    for target in targets.folders:
        if target.folder.package == DEFAULT_PACKAGE:
            return target
    raise click.UsageError(
        f"no configured folder has the package {DEFAULT_PACKAGE!r}, and only such plugins can be "
        "loaded by this command"
    )


def _cause(loaded: Result[object, object]) -> tuple[str, ...]:
    """Return the traceback of the plugin that could not be imported, if one has raised."""
    raised = loaded.exception.__cause__ if isinstance(loaded, Err) and loaded.exception else None
    if raised is None:
        return ()
    return tuple(line for text in traceback.format_exception(raised) for line in text.splitlines())


def _divert_standard_output() -> TextIO | None:
    """Redirect the output of plugins to standard error until the process ends.

    This covers ``print``, and also extension modules and child processes, which write to the
    descriptor. So this command needs a process of its own.

    Returns:
        The former standard output, for the result, or None if it is closed.
    """
    if sys.stdout is None:
        return None
    assert isinstance(sys.stdout, io.TextIOWrapper)  # noqa: S101  # as the interpreter makes it
    descriptor = sys.stdout.fileno()
    # At least 3, because a lower free descriptor would be a standard stream for plugins.
    kept = streams.output_to(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3), sys.stdout)
    other = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    os.dup2(other, descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # keeps the order with direct output
    return kept
