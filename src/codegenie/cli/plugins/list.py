"""``codegenie plugins list``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import click

from codegenie.authoring import locking, manifests
from codegenie.authoring.manifests import ManifestPolicy
from codegenie.cli import documents, output, progress
from codegenie.cli.output import Column
from codegenie.cli.plugins import common
from codegenie.integrity import lock as lock_format
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok

SHORT_DIGEST = 12
"""Digits of a digest in a table for people."""

LOCKED, DRIFTED, NOT_LOCKED = "locked", "drifted", "not locked"


def _colour(state: str) -> str:
    return {LOCKED: "green", NOT_LOCKED: "yellow", "-": ""}.get(state, "red")


COLUMNS = (
    Column("plugin"),
    Column("version"),
    Column("files", is_number=True),
    Column("size", is_number=True),
    Column("digest"),
    Column("state", styles=_colour),
)


@click.command(name="list")
@common.on_folders
def list_plugins(targets: common.Targets, as_json: bool) -> None:
    """Show every plugin below ROOT and whether the lock agrees with it.

    A plugin is locked, drifted (it has changed since it was locked) or not locked. If it cannot be
    locked, the kind of the rejection is shown. Before there is a lock, this is a preview of what
    the first lock would pin, with everything that prevents it.

    \b
    Examples:
      codegenie plugins list
      codegenie plugins list --json examples/plugins
    """
    common.finish_each(targets, partial(run, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The plugins of the folder and of the lock, and the refusals that concern the lock."""

    target: common.Target
    document: documents.List
    of_lock: tuple[Refusal, ...]
    findings: tuple[Refusal, ...]
    """All that prevents a first lock; empty if there is a lock, because verify explains it."""
    has_lock: bool

    @property
    def status(self) -> int:
        return output.status_of(self.of_lock)


def run(target: common.Target, *, as_json: bool) -> Outcome:
    """Compare the plugins with the lock."""
    folder = target.folder
    has_lock = os.path.lexists(folder.lock)
    locked = lock_format.read(folder.lock) if has_lock else Ok({})
    rows: list[documents.ListedPlugin] = []
    refusals: list[Refusal] = []
    if isinstance(locked, Err):
        refusals.append(locked.error)
    else:
        rows, refusals = _inspect(target, locked.value, as_json=as_json)
    document = documents.List(**common.about(folder, refusals), plugins=rows)
    of_lock = tuple(refusal for refusal in refusals if refusal.is_about_lock)
    findings = () if has_lock else tuple(refusals)
    return Outcome(target, document, of_lock, findings, has_lock)


def render(outcome: Outcome) -> None:
    """Print a table of the plugins."""
    output.table(COLUMNS, map(_cells, outcome.document.plugins))


def advise(outcome: Outcome) -> None:
    """Explain a bad lock, or all that prevents a first one, and count the plugins by state."""
    target, rows = outcome.target, outcome.document.plugins
    where = output.shown_path(target.folder.root)
    if outcome.of_lock:
        output.explain(outcome.of_lock, f"the plugins in {where} cannot be checked")
        return
    states = Counter(row.state for row in rows)
    if not outcome.has_lock:
        again = target.command("lock")
        for refusal in outcome.findings:
            output.message(f"{refusal.explanation()}\n")
        output.message(f"{where} has no lock yet; review what it would pin, then run: {again}")
    elif states.total() > states[LOCKED]:
        output.message(f"not all of them pass; run: {target.command('verify')}")
    ordered = sorted(states.items(), key=lambda item: (item[0] != LOCKED, item[0]))
    total = output.count(len(rows), "plugin")
    output.message(", ".join([total, *(f"{number} {state}" for state, number in ordered)]))


def _inspect(
    target: common.Target, locked: Mapping[str, str], *, as_json: bool
) -> tuple[list[documents.ListedPlugin], list[Refusal]]:
    """Return a row for each unit that is there or in the lock, and all that cannot be locked."""
    folder, policy = target.folder, target.manifest
    only = None if folder.others == "refuse" else locked
    inspected = progress.follow(
        "reading",
        common.present_in(folder.root) if only is None else sorted(only),
        locking.inspect(folder.root, only, manifest=policy),
        files=lambda found: len(found.value.files) if isinstance(found, Ok) else 0,
        shown=not as_json,
    )
    proposal = locking.propose(folder.root, inspected=inspected)
    rows = [_row(found, locked.get(unit), policy) for unit, found in proposal.trees.items()]
    kinds = {found.plugin: found.kind for found in proposal.refusals if not found.is_about_lock}
    for unit in locked.keys() - proposal.trees.keys() - kinds.keys():
        kinds[unit] = "missing_plugin_directory"
    rows.extend(_rejected(unit, kind) for unit, kind in kinds.items())
    return sorted(rows, key=lambda row: row.plugin), list(proposal.refusals)


def _row(found: VerifiedTree, pinned: str | None, policy: ManifestPolicy) -> documents.ListedPlugin:
    manifest = manifests.check(found, policy)
    state = LOCKED if pinned == found.digest else DRIFTED if pinned else NOT_LOCKED
    return documents.ListedPlugin(
        plugin=found.plugin,
        version=None
        if isinstance(manifest, Err) or manifest.value is None
        else manifest.value.version,
        files=len(found.files),
        bytes=sum(size for _, size in found.files.values()),
        digest=found.digest,
        state=state,
    )


def _rejected(plugin: str, kind: str) -> documents.ListedPlugin:
    return documents.ListedPlugin(
        plugin=plugin, version=None, files=None, bytes=None, digest=None, state=kind
    )


def _cells(row: documents.ListedPlugin) -> list[str]:
    from rich.filesize import decimal

    return [
        row.plugin,
        row.version or "-",
        "-" if row.files is None else str(row.files),
        "-" if row.bytes is None else decimal(row.bytes),
        (row.digest or "-")[:SHORT_DIGEST],
        row.state,
    ]
