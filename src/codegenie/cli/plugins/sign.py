"""``codegenie plugins sign``."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from codegenie.authoring import compiling, signing
from codegenie.cli import configuration, documents, output
from codegenie.cli.plugins import common
from codegenie.guarded_folder import GuardedFolder
from codegenie.hashing import file_digest
from codegenie.integrity import packs
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.text import printable
from codegenie.trust import evidence, times
from codegenie.writing import write_error, write_remedy

SIGNER_NAME = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,63}")
DURATION = re.compile(r"([1-9][0-9]{0,4})([hdw])")
SECONDS = {"h": 3600, "d": times.SECONDS_OF_A_DAY, "w": 7 * times.SECONDS_OF_A_DAY}


def duration(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Return the seconds of a number of hours, days or weeks: ``90d``."""
    if value is None:
        return None
    found = DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a duration such as 12h, 90d or 8w")
    return int(found[1]) * SECONDS[found[2]]


def signer_name(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return the name of a signature file, without its suffix."""
    if SIGNER_NAME.fullmatch(value) is None:
        raise click.BadParameter(f"{value!r} is not a name of letters, digits and . _ @ + -")
    return value


@click.command()
@common.on_folders
@click.option(
    "--as",
    "signer",
    required=True,
    callback=signer_name,
    metavar="NAME",
    help="The signer. The signature file gets this name.",
)
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="An SSH key.")
@click.option("--sigstore", is_flag=True, help="Sign with the Sigstore identity of this job.")
@click.option(
    "--sigstore-config",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="With --sigstore: the client trust configuration of a private instance.",
)
@click.option(
    "--application",
    metavar="A",
    help="The application that the lock may run in. Default: that of the configuration, or of the "
    "present statement.",
)
@click.option(
    "--sequence",
    type=click.IntRange(min=1),
    metavar="N",
    help="The number of a new statement. Default: the next one.",
)
@click.option(
    "--expires",
    "lifetime",
    callback=duration,
    metavar="90d",
    help="A statement that expires later is replaced.",
)
@click.option("--renew", is_flag=True, help="Write a new statement even if nothing has changed.")
@click.option(
    "--other-bytecode",
    is_flag=True,
    help="Also name packs of other interpreters, which this command cannot check.",
)
def sign(
    targets: common.Targets,
    as_json: bool,
    signer: str,
    key: str | None,
    sigstore: bool,
    sigstore_config: str | None,
    application: str | None,
    sequence: int | None,
    lifetime: int | None,
    renew: bool,
    other_bytecode: bool,
) -> None:
    """Vouch for the lock of ROOT with a key.

    Verifies every plugin and compiles the packs of this interpreter again. Then it writes the
    statement beside the lock, if the lock or a pack has changed, and a signature of it. If nothing
    has changed, it adds a signature to the present statement, so several signers run it in turn.

    KEY may be the public half of a key in an agent or in a security key.

    \b
    Examples:
      codegenie plugins sign --as alice --key id_ed25519 --application shop
      codegenie plugins sign --as alice --key id_ed25519.pub --expires 90d
      codegenie plugins sign --as ci --sigstore --application shop
    """
    if (key is None) == (not sigstore):
        raise click.UsageError("give either --key or --sigstore")
    if sigstore_config is not None and not sigstore:
        raise click.UsageError("--sigstore-config needs --sigstore")
    _refuse_shared_statement(targets)
    if application is None:
        application = configuration.application()
    wanted = Wanted(
        signer, key, sigstore_config, application, sequence, lifetime, renew, other_bytecode
    )
    common.finish_each(
        targets, partial(run, wanted=wanted, as_json=as_json), render, advise, as_json=as_json
    )


def _refuse_shared_statement(targets: common.Targets) -> None:
    """Refuse to sign two locks that are in one directory.

    The statement is beside the lock, so the second would replace the first, and the first folder
    would be refused at its next start.

    Raises:
        click.UsageError: two locks have one directory.
    """
    locks: dict[Path, str] = {}
    for target in targets.folders:
        lock = target.folder.lock
        other = locks.setdefault(Path(lock).parent.resolve(), lock)
        if other != lock:
            raise click.UsageError(
                printable(
                    f"{other} and {lock} are in one directory, which holds one statement: "
                    "give each lock a directory of its own"
                )
            )


@dataclass(frozen=True)
class Wanted:
    """The options of the signer. Without a key the signer is a Sigstore identity."""

    signer: str
    key: str | None
    sigstore_config: str | None
    application: str | None
    sequence: int | None
    lifetime: int | None
    renew: bool
    other_bytecode: bool


@dataclass(frozen=True)
class Outcome:
    """The signature, or the refusals that prevent one."""

    document: documents.Sign | documents.SignRejected
    refusals: tuple[Refusal, ...] = ()

    @property
    def status(self) -> int:
        return output.status_of(self.refusals)


def run(target: common.Target, *, wanted: Wanted, as_json: bool) -> Outcome:
    """Verify the folder and its packs, and sign its lock."""
    folder = target.folder
    make = (
        signing.ssh_signer(wanted.key) if wanted.key else _sigstore_signer(wanted.sigstore_config)
    )
    with output.turn(folder.root, str(Path(folder.lock).parent), as_json=as_json):
        checked = _checked_indexes(target, wanted.other_bytecode, as_json=as_json)
        if isinstance(checked, Err):
            rejected = documents.SignRejected(**common.about(folder, checked.error))
            return Outcome(rejected, checked.error)
        subjects, left_out = checked.value
        request = signing.Request(
            folder.lock,
            wanted.signer,
            signing.KEY_SUFFIX if wanted.key else signing.BUNDLE_SUFFIX,
            subjects,
            application=wanted.application,
            sequence=wanted.sequence,
            lifetime=wanted.lifetime,
            renew=wanted.renew,
        )
        try:
            done = signing.sign(request, make)
        except signing.NotSigned as error:
            output.fail(str(error), as_json=as_json)
        except OSError as error:
            headline = f"{error.filename or folder.lock} {write_error(error)}"
            output.fail(headline, ("fix", write_remedy(error)), as_json=as_json)
    return Outcome(_document(folder, wanted, done, left_out))


def _document(
    folder: GuardedFolder, wanted: Wanted, done: signing.Signed, left_out: Mapping[str, str]
) -> documents.Sign:
    signature = Path(done.signature).read_bytes()
    expires = done.content.expires
    return documents.Sign(
        **common.about(folder, ()),
        signer=wanted.signer,
        fingerprint=signing.fingerprint_of(signature) if wanted.key else None,
        application=done.content.application,
        sequence=done.content.sequence,
        issued=times.render(done.content.issued),
        expires=None if expires is None else times.render(expires),
        statement=evidence.statement_path(folder.lock),
        sha256=file_digest(done.data).hex(),
        new=done.is_new,
        signature=done.signature,
        subjects=dict(done.content.subjects),
        left_out=dict(left_out),
        removed=list(done.removed),
    )


def render(outcome: Outcome) -> None:
    """Print the path of the signature."""
    if isinstance(outcome.document, documents.Sign):
        click.echo(printable(outcome.document.signature))


def advise(outcome: Outcome) -> None:
    """Say what was signed and what was left out, or explain the refusals."""
    document = outcome.document
    if not isinstance(document, documents.Sign):
        output.explain(outcome.refusals, "nothing was signed")
        return
    kind = "a new statement" if document.new else "the present statement"
    expires = document.expires or "does not expire"
    output.say(
        f"{document.signer} signed {kind}, number {document.sequence} for {document.application}",
        ("expires", expires),
        ("names", output.count(len(document.subjects), "file")),
    )
    for name, reason in document.left_out.items():
        output.say(f"not named: {name}", ("because", reason))
    if document.removed:
        count = output.count(len(document.removed), "signature")
        output.say(f"{count} of the earlier statement removed: these signers must sign again")


def _sigstore_signer(config: str | None) -> signing.Signer:
    try:
        module = importlib.import_module("codegenie.authoring.sigstore_signing")
    except ImportError:
        raise click.UsageError(
            "--sigstore needs the package sigstore; run: pip install 'codegenie[sigstore]'"
        ) from None
    signer: signing.Signer = module.signer(config)
    return signer


def _checked_indexes(
    target: common.Target, other_bytecode: bool, *, as_json: bool
) -> Result[tuple[dict[str, str], Mapping[str, str]], tuple[Refusal, ...]]:
    """Return the digests of the indexes to vouch for, and why others are left out.

    Threat: an attacker plants a pack before a person signs. Rule: a signer vouches for a pack only
    if it is exactly what this interpreter compiles from verified source.

    Returns the refusals if a plugin does not match the lock, or a pack its source.
    """
    folder = target.folder
    before = signing.index_digests(folder.lock)
    here = Path(packs.folder_for(folder.lock) or "").name
    checked: dict[str, str] = {}
    left_out = dict.fromkeys(before, "of another interpreter: sign there, or --other-bytecode")
    refusals: list[Refusal] = []
    for verdict in common.verdicts(target, as_json=as_json):
        if isinstance(verdict, Err):
            refusals.append(verdict.error)
            continue
        found = verdict.value[0]
        name = packs.index_subject(folder.lock, found.plugin)
        if name not in before:
            continue
        wrong = compiling.check_pack(found, folder.lock)
        if isinstance(wrong, Refusal):
            refusals.append(wrong)
        elif wrong is not None:
            left_out[name] = wrong
        else:
            checked[name] = before[name]
            del left_out[name]
    if refusals:
        return Err(tuple(refusals))
    if signing.index_digests(folder.lock) != before:
        output.fail("packs changed while they were checked", as_json=as_json)
    if other_bytecode:
        others = {name: before[name] for name in left_out if name.split("/")[1] != here}
        checked.update(others)
        left_out = {name: reason for name, reason in left_out.items() if name not in others}
    return Ok((checked, left_out))
