"""Verify locks against a policy, and pin the policy with a floor, for ``guard install --trust``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from codegenie.authoring import policies
from codegenie.cli import output
from codegenie.cli.trust.check import refusals_of
from codegenie.guarded_folder import GuardedFolder
from codegenie.refusals.record import Refusal
from codegenie.result import Err
from codegenie.trust.pinned import AT_INSTALL, AT_START, TIMES
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


def pin(
    settings: Mapping[str, Any],
    policy: str | None,
    at: str,
    active: Mapping[str, Any],
    *,
    allow_rollback: bool,
    as_json: bool,
) -> dict[str, Any]:
    """Return the settings of an activation file with a policy, and with the floor of each folder.

    Threat: whoever installs again could drop the policy or lower the floor by an oversight. Rule:
    both need ``--allow-rollback``. The activation file is the only memory.

    Args:
        settings: those of an activation file, with ``folders``.
        policy: the path of the policy; None for none.
        at: ``"start"`` or ``"install"``.
        active: the status of the guard that is installed now.

    Ends with status 4 if a lock is not trusted, with status 1 if the policy cannot be used.
    """
    known = {
        folder.get("root"): folder["trust"]
        for folder in active.get("folders", ())
        if folder.get("trust")
    }
    if policy is None:
        if known and not allow_rollback:
            output.fail(
                "the installed guard has a trust policy, which this would drop",
                ("policy", next(iter(known.values()))["policy"]),
                ("fix", "give --trust, or --allow-rollback to drop it"),
                as_json=as_json,
            )
        return dict(settings)
    path = os.path.abspath(policy)
    folders: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    digest = ""
    for folder in settings["folders"]:
        floor = {} if allow_rollback else known.get(folder["root"], {})
        checked = _check(path, folder, at, floor, as_json=as_json)
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
        "trust": {"policy": path, "sha256": digest, "at": at},
    }


def _check(
    path: str, folder: Mapping[str, Any], at: str, floor: Mapping[str, Any], *, as_json: bool
) -> policies.Checked:
    try:
        return policies.check(
            path,
            folder["lock"],
            at_start=at != AT_INSTALL,
            floor=floor.get("floor") or 0,
            floor_statement=floor.get("floor_statement") or "",
        )
    except policies.Refused as error:
        output.fail(f"the policy cannot be used, so nothing was written: {error}", as_json=as_json)


def _seen(vouched: Vouched) -> dict[str, Any]:
    return {"floor": vouched.statement.sequence, "statement": vouched.statement_sha256}


def _end(refusals: Sequence[Refusal], *, as_json: bool) -> NoReturn:
    if as_json:
        rejections = output.rejections(refusals)
        output.plain({"error": "a lock is not trusted", "rejections": rejections})
    output.explain(refusals, "nothing was written")
    raise output.Rejected(output.status_of(refusals))
