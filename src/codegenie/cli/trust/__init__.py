"""``codegenie trust``: write the policy that says which signers a lock needs."""

from __future__ import annotations

import click

from codegenie.cli.lazy import LazyGroup

_HERE = "codegenie.cli.trust"


@click.group(
    cls=LazyGroup,
    commands_at={
        "init": (f"{_HERE}.editing:init", "Write a policy for an application."),
        "add": (f"{_HERE}.editing:add", "Add a signer to a policy."),
        "revoke": (f"{_HERE}.editing:revoke", "Revoke a key or a statement."),
        "check": (f"{_HERE}.check:check", "Check the lock of ROOT against a policy."),
        "export": (f"{_HERE}.export:export", "Print the keys of a policy for ssh-keygen."),
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
