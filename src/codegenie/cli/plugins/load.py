"""``codegenie plugins load``."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
import traceback
from typing import TextIO

import click

from codegenie.cli import documents, output, streams
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.plugins import loader
from codegenie.plugins.errors import GuardSettled
from codegenie.plugins.registry import PluginRegistry, name_of
from codegenie.refusals import explanation
from codegenie.result import Err, Result
from codegenie.text import printable


@click.command()
@common.on_a_folder
def load(root: str, lock_path: str | None, as_json: bool) -> None:
    """Import and register every plugin as an application does.

    This executes the code of the plugins below ROOT, if all of them match the lock. Their output
    goes to standard error.

    \b
    Examples:
      codegenie plugins load
      codegenie plugins load --json examples/plugins
    """
    from codegenie.plugins.guard import install  # importing it installs it

    folder = GuardedFolder.at(root, lock_path)
    registry = PluginRegistry()
    # The result must show if the plugins pass, so the environment must not set audit mode.
    try:
        install(mode="enforce", on_refusal="raise")
    except GuardSettled as error:
        said = str(error).partition("\n")[0]
        output.fail(said, ("help", explanation.anchor("guard_settled")), as_json=as_json)
    standard_output = _divert_standard_output()
    loaded = loader.run_gates(folder.root, folder.lock, registry=registry)
    refusals = [loaded.error] if isinstance(loaded, Err) else []
    report = None if isinstance(loaded, Err) else loaded.value
    names = list(report.loaded) if report else []
    document = documents.Load(
        **common.about(folder, refusals),
        loaded=names,
        registered=[name_of(plugin) for plugin in registry.all()] if report else [],
        total_walked=report.total_walked if report else None,
    )

    def text() -> None:
        for name in names:
            click.echo(name)

    with contextlib.redirect_stdout(standard_output):
        output.result(document, as_json=as_json, text=text)
    _show_cause(loaded)
    rejected = f", {len(refusals)} rejected" if refusals else ""
    output.conclude(
        refusals,
        f"{output.count(len(names), 'plugin')} loaded, {len(document.registered)} registered"
        f"{rejected}",
    )


def _show_cause(loaded: Result[object, object]) -> None:
    """Show the traceback of the plugin that could not be imported, if one has raised."""
    raised = loaded.exception.__cause__ if isinstance(loaded, Err) and loaded.exception else None
    if raised is None:
        return
    for text in traceback.format_exception(raised):
        for line in text.splitlines():
            output.message(printable(line))


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
