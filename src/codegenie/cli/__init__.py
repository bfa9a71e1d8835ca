"""Define the groups of the command line, and run it.

Status: 0 for success, 1 if something failed, 2 for wrong usage, 4 for a rejection.
"""

from __future__ import annotations

import logging
import os
import shutil

import click

from codegenie import __version__
from codegenie.cli import streams
from codegenie.cli.lazy import LazyGroup

NARROWEST_BY_CLICK = 52
"""Columns. Click formats help for at least this width, so a narrower terminal breaks the lines."""


@click.group(
    cls=LazyGroup,
    commands_at={
        "plugins": (
            "codegenie.cli.plugins:plugins",
            "Pin and check the plugins in a folder.",
        ),
        "trust": (
            "codegenie.cli.trust:trust",
            "Write the policy that says which signers a lock needs.",
        ),
        "guard": (
            "codegenie.cli.guard:guard",
            "Make every start of an interpreter guarded, and see what guards it.",
        ),
        "explain": (
            "codegenie.cli.explain:explain",
            "Explain a kind of refusal: usual causes, and what to do.",
        ),
        "completion": (
            "codegenie.cli.completion:completion",
            "Print the script that completes commands in a shell.",
        ),
        "schema": (
            "codegenie.cli.schema:schema",
            "Print the JSON Schema of what a command prints with --json.",
        ),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def cli() -> None:
    """Pin plugins, verify them, and see what guards them.

    The status is 0 for success, 1 if something failed or no guard is active, 2 for wrong usage, and
    4 for a rejection.

    \b
    Examples:
      codegenie plugins lock
      codegenie plugins verify
      codegenie guard status
    """


def main() -> None:
    """Run the command line and end the process."""
    streams.prepare()
    # In a guarded environment, the commands that explain a changed distribution must work. Pydantic
    # would read the entry points of all distributions for its own plugins, and the guard refuses
    # the changed ones.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    # The commands print every refusal with its explanation, so the log must not print it again.
    logging.getLogger("codegenie").addHandler(logging.NullHandler())
    columns = shutil.get_terminal_size().columns
    try:
        cli(
            prog_name="codegenie",
            terminal_width=columns - 2 if columns < NARROWEST_BY_CLICK else None,
            # None: colour on a terminal only.
            color=False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None,
        )
    except ImportError:
        _end_where_unsupported()
        raise


def _end_where_unsupported() -> None:
    """End the process with one sentence if this interpreter lacks what the command needs.

    Most commands work on an interpreter that the guard does not support.
    """
    from codegenie._start.loaders import why_unsupported

    problem = why_unsupported()
    if problem:
        click.echo(f"codegenie: {problem}", err=True)
        raise SystemExit(1)
