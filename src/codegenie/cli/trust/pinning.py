"""Verify locks against a policy, and pin the policy with a floor, for ``guard install --trust``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from codegenie.authoring import policies
from codegenie.cli import output
from codegenie.cli.trust.check import refusals_of
from codegenie.guarded_folder import GuardedFolder
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.trust.pinned import AT_INSTALL, AT_START, TIMES, TrustPin
from codegenie.trust.trusted_lock import TrustedLock
from codegenie.trust.vouching import Vouched

trust_option = click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False),
    help="The policy that says which signers each lock needs. It is verified now, and pinned.",
)
trust_at_option = click.option(
    "--trust-at",
    type=click.Choice(TIMES),
    default=AT_START,
    help="start: verify keys at each start; install: now, and pin the statement.  [default: start]",
)
allow_rollback_option = click.option(
    "--allow-rollback",
    is_flag=True,
    help="Accept an older statement than the installed guard has seen, or no policy.",
)


@dataclass(frozen=True)
class Wishes:
    """The options about trust.

    Attributes:
        policy: the path of the policy; None for none.
        at: ``"start"`` or ``"install"``.
        allow_rollback: accept an older statement, or no policy.
    """

    policy: str | None
    at: str
    allow_rollback: bool


def pin(
    settings: Mapping[str, Any], wishes: Wishes, before: Mapping[str, Any], *, as_json: bool
) -> dict[str, Any]:
    """Return the settings of an activation file with a policy, and with the floor of each folder.

    Threat: a second installation drops the policy or lowers the floor by an oversight. Rule: both
    need ``--allow-rollback``. The activation file is the only memory, and it is read as a file: a
    start that does not run it, because of another ``sitecustomize`` or a broken package, forgets
    nothing. A folder keeps its floor under each name that a link gives it.

    Args:
        settings: those of an activation file, with ``folders``.
        wishes: the options of the command.
        before: the settings in the present activation file; empty without one.

    Ends with status 4 if a lock is not trusted, with status 1 if the policy cannot be used.
    """
    pinned = before.get("trust")
    if wishes.policy is None:
        if pinned and not wishes.allow_rollback:
            output.fail(
                "the installed guard has a trust policy, which this would drop",
                ("policy", pinned["policy"]),
                ("fix", "give --trust, or --allow-rollback to drop it"),
                as_json=as_json,
            )
        return dict(settings)
    known = {os.path.realpath(folder["root"]): folder for folder in before.get("folders", ())}
    path = os.path.abspath(wishes.policy)
    folders: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    digest = ""
    for folder in settings["folders"]:
        floor = {} if wishes.allow_rollback else known.get(os.path.realpath(folder["root"]), {})
        checked = _check(path, folder, wishes.at, floor, as_json=as_json)
        digest = checked.sha256
        if isinstance(checked.verdict, Err):
            refusals += refusals_of(checked, GuardedFolder(folder["root"], folder["lock"]))
        else:
            folders.append({**folder, **_seen(checked.verdict.value)})
    if refusals:
        _end(refusals, as_json=as_json)
    return {
        **settings,
        "folders": folders,
        "trust": {"policy": path, "sha256": digest, "at": wishes.at},
    }


@dataclass(frozen=True)
class TrustStatus:
    """The present verdict of a pinned policy on the lock of one folder."""

    folder: GuardedFolder
    verdict: Result[Vouched, Refusal]


def trust_statuses(active: Mapping[str, Any]) -> list[TrustStatus]:
    """Check each folder of an active guard against its pinned policy, as its next start will.

    Returns nothing if no policy is pinned.
    """
    found: list[TrustStatus] = []
    for status in active.get("folders", ()):
        lock = trusted_lock(status)
        if lock is None:
            continue
        folder = GuardedFolder(status["root"], status["lock"])
        read = lock.read()
        if isinstance(read, Err):
            found.append(
                TrustStatus(folder, Err(read.error.with_context(folder.root, folder.lock)))
            )
        elif lock.vouched is not None:
            found.append(TrustStatus(folder, Ok(lock.vouched)))
    return found


def trusted_lock(status: Mapping[str, Any]) -> TrustedLock | None:
    """Return the lock of a folder of an active guard under its pinned policy; None without one."""
    trust = status.get("trust")
    if not trust or not status.get("lock"):
        return None
    pinned = TrustPin(
        trust["policy"],
        trust["sha256"],
        trust["at"],
        trust.get("floor") or 0,
        trust.get("floor_statement") or "",
    )
    return TrustedLock(pinned, status["lock"])


def rows(trust: TrustStatus) -> list[tuple[str, str]]:
    """Return labels and values about one folder, for a person."""
    if isinstance(trust.verdict, Err):
        return [("trust", f"NOT TRUSTED: {trust.verdict.error.evidence['detail']}")]
    vouched = trust.verdict.value
    shown = vouched.as_dict()
    left = shown["days_left"]
    return [
        ("signers", ", ".join(vouched.signers) or "verified at the installation"),
        ("statement", f"number {shown['sequence']}, issued {shown['issued']}"),
        ("expires", "never" if left is None else f"{shown['expires']}, in {left} days"),
    ]


def summary(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pinned policy and the floors by root, for ``--json``; None without a policy."""
    if "trust" not in settings:
        return None
    floors = {folder["root"]: folder["floor"] for folder in settings["folders"]}
    return {**settings["trust"], "floors": floors}


def _check(
    path: str, folder: Mapping[str, Any], at: str, floor: Mapping[str, Any], *, as_json: bool
) -> policies.Checked:
    try:
        return policies.check(
            path,
            folder["lock"],
            at_start=at != AT_INSTALL,
            floor=floor.get("floor") or 0,
            floor_statement=floor.get("statement") or "",
        )
    except policies.Refused as error:
        output.fail(f"the policy cannot be used, so nothing was written: {error}", as_json=as_json)


def _seen(vouched: Vouched) -> dict[str, Any]:
    return {"floor": vouched.statement.sequence, "statement": vouched.statement_sha256}


def _end(refusals: Sequence[Refusal], *, as_json: bool) -> NoReturn:
    if as_json:
        from codegenie.cli.documents import NotTrusted

        output.document(
            NotTrusted.model_validate(
                {"error": "a lock is not trusted", "rejections": output.rejections(refusals)}
            )
        )
    output.explain(refusals, "nothing was written")
    raise output.Rejected(output.status_of(refusals))
