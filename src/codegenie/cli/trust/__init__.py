"""``codegenie trust``: write the policy that says which signers a lock needs."""

from __future__ import annotations

import click

from codegenie.cli.lazy import LazyGroup

_HERE = "codegenie.cli.trust"


@click.group(
    cls=LazyGroup,
    commands_at={
        "init": (
            f"{_HERE}.editing:init",
            "Write a policy for an application.",
        ),
        "add": (f"{_HERE}.editing:add", "Add the signer NAME to the policy FILE."),
        "revoke": (
            f"{_HERE}.editing:revoke",
            "Revoke a key by its fingerprint, or a statement by its SHA-256.",
        ),
        "check": (f"{_HERE}.check:check", "Check the lock of ROOT against the policy FILE."),
        "export": (
            f"{_HERE}.export:export",
            "Print the SSH keys of the policy FILE, as ssh-keygen reads them.",
        ),
    },
)
def trust() -> None:
    """Write the policy that says which signers a lock needs.

    codegenie guard install --trust pins the policy, so that it counts at every start.

    \b
    Examples:
      codegenie trust init trust.json --application shop
      codegenie trust add trust.json alice --ssh alice.pub
      codegenie trust check trust.json plugins
    """
