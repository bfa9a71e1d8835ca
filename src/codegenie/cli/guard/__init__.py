"""``codegenie guard``: activate the guard for an interpreter, undo that, show its state."""

from __future__ import annotations

import click

from codegenie.cli.lazy import LazyGroup

_HERE = "codegenie.cli.guard"


@click.group(
    cls=LazyGroup,
    commands_at={
        "install": (
            f"{_HERE}.install:install",
            "Guard every start of an interpreter, with pinned settings.",
        ),
        "uninstall": (
            f"{_HERE}.uninstall:uninstall",
            "Undo what install did: every file is again as it was.",
        ),
        "status": (
            f"{_HERE}.status:status",
            "Start an interpreter and report what is really active in it.",
        ),
    },
)
def guard() -> None:
    """Make every start of an interpreter guarded, and see what guards it.

    \b
    Examples:
      codegenie guard install --root /srv/app/plugins
      codegenie guard status
      codegenie guard uninstall
    """
