"""``codegenie plugins``: one module for each command."""

from __future__ import annotations

import click

from codegenie.cli.lazy import LazyGroup

_HERE = "codegenie.cli.plugins"


@click.group(
    cls=LazyGroup,
    commands_at={
        "new": (f"{_HERE}.new:new", "Make a plugin that can be locked, and a test of it."),
        "lock": (
            f"{_HERE}.lock:lock",
            "Validate every plugin below ROOT and pin its digest in the lock.",
        ),
        "verify": (f"{_HERE}.verify:verify", "Check every plugin below ROOT against the lock."),
        "list": (
            f"{_HERE}.list:list_plugins",
            "Show every plugin below ROOT and whether the lock agrees with it.",
        ),
        "diff": (f"{_HERE}.diff:diff", "Show which files differ from the lock."),
        "compile": (
            f"{_HERE}.compile:compile_plugins",
            "Compile every plugin below ROOT for this interpreter.",
        ),
        "sign": (f"{_HERE}.sign:sign", "Vouch for the lock of ROOT with a key."),
        "load": (
            f"{_HERE}.load:load",
            "Import and register every plugin as an application does.",
        ),
        "merge-lock": (
            f"{_HERE}.merge_lock:merge_lock",
            "Merge two locks plugin by plugin, as a merge driver of git.",
        ),
    },
)
def plugins() -> None:
    """Pin and check the plugins in a folder.

    ROOT is the plugin folder, which is "plugins" if it is not given.

    \b
    Examples:
      codegenie plugins new hello
      codegenie plugins lock
      codegenie plugins verify
    """
