"""``codegenie guard``: what guards an interpreter."""

from __future__ import annotations

import sys

import click

from codegenie.activation.probe import probe
from codegenie.cli import output
from codegenie.result import Err


@click.group()
def guard() -> None:
    """See what guards an interpreter."""


@guard.command()
@click.option("--python", default=sys.executable, help="The interpreter. Default: this one.")
@output.json_option
def status(python: str, as_json: bool) -> None:
    """Start an interpreter and report what is really active in it.

    Example: codegenie guard status --python /usr/bin/python3
    """
    answer = probe(python)
    if isinstance(answer, Err):
        raise click.BadParameter(f"{python}: {answer.error.detail}", param_hint="--python")
    document = answer.value
    state = document["guard"]
    active = state.get("active") is True

    def text() -> None:
        click.echo(f"python   {document.get('executable')} ({document.get('version')})")
        click.echo(f"guard    {'active' if active else 'not active'}")
        for key in ("root", "lock", "scope", "mode", "on_refusal"):
            if state.get(key):
                click.echo(f"{key:<8} {state[key]}")

    output.result(document, as_json=as_json, text=text)
    if not active:
        output.message(
            "nothing installs the guard when this interpreter starts; "
            "an application that imports codegenie.plugins.guard is guarded from there on"
        )
