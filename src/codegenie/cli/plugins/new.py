"""``codegenie plugins new``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from codegenie.authoring import scaffold
from codegenie.cli import documents, output
from codegenie.cli.outcome import finish
from codegenie.cli.plugins import common
from codegenie.files import reason
from codegenie.result import Err
from codegenie.text import printable
from codegenie.types.identifiers import PluginId
from codegenie.types.parsers import parse_new_plugin_id


def _plugin_id(_: click.Context, __: click.Parameter, value: str) -> PluginId:
    parsed = parse_new_plugin_id(value)
    if isinstance(parsed, Err):
        raise click.BadParameter(str(parsed.error))
    return parsed.value


@click.command()
@click.argument("plugin", metavar="ID", callback=_plugin_id)
@click.argument("root", default=common.DEFAULT_ROOT, type=click.Path(file_okay=False))
@output.json_option
def new(plugin: PluginId, root: str, as_json: bool) -> None:
    """Make a plugin that can be locked, and a test of it.

    Writes ROOT/ID/plugin.yaml and ROOT/ID/api.py, and a test into the folder tests beside ROOT,
    which is made if it does not exist. No file is overwritten. The plugin is not locked: review it
    first, then run codegenie plugins lock.

    \b
    Examples:
      codegenie plugins new hello
      codegenie plugins new vulnerability-remediation--node--npm plugins
    """
    finish(run(plugin, root, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The files that were written."""

    document: documents.New
    status: int = 0


def run(plugin: PluginId, root: str, *, as_json: bool) -> Outcome:
    """Write the files of the plugin and of its test."""
    if not root:
        raise click.BadParameter("must not be empty", param_hint="'[ROOT]'")
    try:
        folder = os.path.abspath(root)  # the working directory may be gone
        # Otherwise a command that locks the folder could pin half of the plugin.
        with output.turn(str(Path(folder).parent), folder, as_json=as_json):
            made = scaffold.make(folder, plugin)
    except scaffold.BadRoot as error:
        raise click.BadParameter(printable(str(error)), param_hint="'[ROOT]'") from None
    except scaffold.IdTaken as error:
        raise click.BadParameter(printable(str(error)), param_hint="'ID'") from None
    except OSError as error:
        where = error.filename or root
        output.fail(f"nothing was written: {where}: {reason(error)}", as_json=as_json)
    following = [
        output.plugins_command("lock", root, None, plugin),
        output.command("python", "-m", "pytest", output.shortest_path(made[-1])),
    ]
    return Outcome(documents.New(root=folder, plugin=plugin, written=made, next=following))


def render(outcome: Outcome) -> None:
    """Print the paths of the new files."""
    for path in outcome.document.written:
        output.change("+", output.shown_path(path))


def advise(outcome: Outcome) -> None:
    """Say what to run next."""
    output.message("look at them, then run:")
    for line in outcome.document.next:
        output.message(f"  {line}")
