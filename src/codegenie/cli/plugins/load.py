"""``codegenie plugins load``."""

from __future__ import annotations

import contextlib
import sys

import click

from codegenie.cli import documents, output
from codegenie.cli.plugins import common
from codegenie.plugins import loader
from codegenie.plugins._enforce import explanation
from codegenie.plugins.errors import GuardSettled
from codegenie.plugins.registry import PluginRegistry, name_of
from codegenie.result import Err


@click.command()
@common.on_a_folder
def load(root: str, lock_path: str | None, as_json: bool) -> None:
    """Import and register every plugin as an application does.

    This runs the code of the plugins below ROOT, if all of them match the lock. What they print
    goes to standard error.

    \b
    Examples:
      codegenie plugins load
      codegenie plugins load --json examples/plugins
    """
    from codegenie.plugins.guard import install  # importing it installs it

    settings = common.settings_of(root, lock_path)
    registry = PluginRegistry()
    # What this command tells is whether the plugins pass, whatever the environment says; and
    # standard output is for its result, not for what plugins print.
    try:
        install(mode="enforce", on_refusal="raise")
    except GuardSettled as error:
        said = str(error).partition("\n")[0]
        output.fail(said, ("help", explanation.anchor("guard_settled")), as_json=as_json)
    with contextlib.redirect_stdout(sys.stderr):
        loaded = loader.run_gates(settings.root, settings.lock, registry=registry)
    refusals = [loaded.error] if isinstance(loaded, Err) else []
    report = None if isinstance(loaded, Err) else loaded.value
    names = list(report.loaded) if report else []
    document = documents.Load(
        **common.about(settings, refusals),
        loaded=names,
        registered=[name_of(plugin) for plugin in registry.all()] if report else [],
        total_walked=report.total_walked if report else None,
    )

    def text() -> None:
        for name in names:
            click.echo(name)

    output.result(document, as_json=as_json, text=text)
    rejected = f", {len(refusals)} rejected" if refusals else ""
    output.conclude(
        refusals,
        f"{output.count(len(names), 'plugin')} loaded, {len(document.registered)} registered"
        f"{rejected}",
    )
