"""The command line: arguments, one place where failures become text and an exit status.

Statuses: 0, 2 for wrong usage, 4 for a rejection.
"""

from __future__ import annotations

import logging

import click

from codegenie.cli.guard import guard
from codegenie.cli.merging import merge_lock
from codegenie.cli.output import Rejected
from codegenie.cli.plugins import plugins


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="codegenie")
def cli() -> None:
    """Pin plugins, verify them, and see what guards them."""


plugins.add_command(merge_lock)
cli.add_command(plugins)
cli.add_command(guard)


def main() -> None:
    """Run the command line and end the process."""
    # The commands print every refusal themselves, with its explanation.
    logging.getLogger("codegenie").addHandler(logging.NullHandler())
    try:
        cli(prog_name="codegenie")
    except Rejected as rejected:
        raise SystemExit(rejected.status) from None
