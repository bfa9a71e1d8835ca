"""``codegenie trust init``, ``add`` and ``revoke``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from codegenie.authoring import policies
from codegenie.cli import documents, output
from codegenie.cli.outcome import finish
from codegenie.files import read_regular
from codegenie.result import Err
from codegenie.trust.policy import EXPIRY_CHOICES, MAX_AGE_DAYS, MAX_SIGNERS, SIGSTORE_FIELDS
from codegenie.writing import create, replace, write_error, write_remedy

MAX_KEY_BYTES = 16 * 1024

file_argument = click.argument("file", type=click.Path(dir_okay=False))


@click.command()
@file_argument
@click.option("--application", required=True, metavar="A", help="The application.")
@click.option(
    "--threshold",
    type=click.IntRange(1, MAX_SIGNERS),
    default=1,
    metavar="N",
    help="The number of distinct signers that a lock needs.  [default: 1]",
)
@click.option(
    "--expiry",
    type=click.Choice(EXPIRY_CHOICES),
    default="optional",
    help="required: a statement must say when it expires.  [default: optional]",
)
@click.option(
    "--max-age-days",
    type=click.IntRange(1, MAX_AGE_DAYS),
    metavar="N",
    help="Refuse a statement that is older, whatever it says.",
)
@output.json_option
def init(
    file: str,
    application: str,
    threshold: int,
    expiry: str,
    max_age_days: int | None,
    as_json: bool,
) -> None:
    """Write a policy for an application. An existing FILE is not changed.

    \b
    Examples:
      codegenie trust init trust.json --application shop
      codegenie trust init trust.json --application shop --threshold 2
    """
    try:
        document = policies.new(application, threshold, expiry, max_age_days)
        create(file, _rendered(document))
    except policies.Refused as error:
        output.fail(str(error), as_json=as_json)
    except FileExistsError:
        output.fail(
            f"{output.shown_path(file)} exists already",
            ("fix", "add signers to it, or choose another name"),
            as_json=as_json,
        )
    except OSError as error:
        _fail_to_write(file, error, as_json=as_json)
    finish(_outcome(file, document), render, advise, as_json=as_json)


@click.command()
@file_argument
@click.argument("name")
@click.option("--ssh", type=click.Path(exists=True, dir_okay=False), help="The public key, .pub.")
@click.option(
    "--valid-before", metavar="T", help="The key counts until then: 2027-01-31T00:00:00Z."
)
@click.option("--sigstore", is_flag=True, help="A Sigstore identity, by the next options.")
@click.option("--issuer", help="Of the identity: the exact URL.")
@click.option("--identity", help="The exact workflow and ref, or the exact address.")
@click.option("--source-repository", help="The exact URL of the repository.")
@click.option("--source-repository-id", help="The id of the repository, which a new one lacks.")
@click.option("--source-ref", help="The exact ref: refs/heads/main.")
@click.option("--trusted-root", help="The trusted root, relative to the policy.")
@click.option("--trusted-root-sha256", help="Its digest.")
@output.json_option
def add(
    file: str,
    name: str,
    ssh: str | None,
    valid_before: str | None,
    sigstore: bool,
    as_json: bool,
    **identity: str | None,
) -> None:
    """Add the signer NAME to the policy FILE.

    \b
    Examples:
      codegenie trust add trust.json alice --ssh alice.pub
      codegenie trust add trust.json old --ssh old.pub \\
        --valid-before 2027-01-31T00:00:00Z
    """
    if (ssh is None) == (not sigstore):
        raise click.UsageError("give either --ssh or --sigstore")
    entry = _identity(identity) if sigstore else _key(ssh or "", as_json=as_json)
    if valid_before is not None:
        entry["valid_before"] = valid_before
    _edit(file, lambda document: policies.with_signer(document, name, entry), as_json=as_json)


@click.command()
@file_argument
@click.argument("revoked", metavar="FINGERPRINT|DIGEST")
@output.json_option
def revoke(file: str, revoked: str, as_json: bool) -> None:
    """Revoke a key by its fingerprint, or a statement by its SHA-256.

    Install the guard again with the changed policy: each installation pins its digest.

    \b
    Examples:
      codegenie trust revoke trust.json \\
        SHA256:jN1zMPyT4yPIvhGdW0ev3FdcQ5xjbCZbTfWzvyMnMhE
    """
    _edit(file, lambda document: policies.without(document, revoked), as_json=as_json)


def _key(path: str, *, as_json: bool) -> dict[str, Any]:
    data = read_regular(path, max_bytes=MAX_KEY_BYTES)
    if isinstance(data, Err):
        output.fail(str(data.error), as_json=as_json)
    text = data.value.decode("utf-8", "replace")
    if "PRIVATE KEY" in text:
        output.fail(
            f"{path} is a private key",
            ("fix", f"give its public half: {path}.pub"),
            as_json=as_json,
        )
    return {"ssh": text.strip()}


def _identity(fields: dict[str, str | None]) -> dict[str, Any]:
    missing = [name for name in SIGSTORE_FIELDS if not fields.get(name)]
    if missing:
        raise click.UsageError(f"--sigstore needs --{missing[0].replace('_', '-')}")
    return {"sigstore": {name: fields[name] for name in SIGSTORE_FIELDS}}


def _edit(file: str, change: Any, *, as_json: bool) -> None:
    with output.turn(str(Path(file).absolute().parent), as_json=as_json):
        try:
            document = change(policies.read(file))
            replace(file, _rendered(document))
        except policies.Refused as error:
            output.fail(str(error), as_json=as_json)
        except OSError as error:
            _fail_to_write(file, error, as_json=as_json)
    finish(_outcome(file, document), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The policy as it was written."""

    document: documents.TrustPolicy
    file: str
    status: int = 0


def _outcome(file: str, content: policies.Document) -> Outcome:
    missing = policies.missing_signers(content)
    document = documents.TrustPolicy(
        policy=str(Path(file).absolute()), missing_signers=missing, content=content
    )
    return Outcome(document, file)


def render(outcome: Outcome) -> None:
    """Print the path of the policy."""
    click.echo(output.shown_path(outcome.file))


def advise(outcome: Outcome) -> None:
    """Count the signers and the revocations, and say if there are too few signers."""
    content, missing = outcome.document.content, outcome.document.missing_signers
    signers = output.count(len(content["signers"]), "signer")
    output.say(f"{signers}, {content['threshold']} needed, for {content['application']}")
    if revoked := content.get("revoked"):
        entries = output.count(len(revoked), "revocation")
        output.say(f"{entries}, in force on a machine after its next: codegenie guard install")
    if missing:
        output.say(f"it trusts nothing until you add {output.count(missing, 'more signer')}")


def _rendered(document: policies.Document) -> bytes:
    return f"{output.json_text(document)}\n".encode("ascii")


def _fail_to_write(file: str, error: OSError, *, as_json: bool) -> None:
    headline = f"{output.shown_path(file)} {write_error(error)}"
    output.fail(headline, ("fix", write_remedy(error)), as_json=as_json)
