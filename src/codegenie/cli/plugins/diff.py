"""``codegenie plugins diff``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from codegenie.cli import documents, output
from codegenie.cli.plugins import common
from codegenie.files import on_disk
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import file_list, walk
from codegenie.integrity import lock as lock_format
from codegenie.refusals.differences import Differences
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok

DIFFERS = 4
"""The status if any plugin differs: that of a rejection."""

SIGNS = (("~", "changed"), ("+", "added"), ("-", "removed"))


@click.command()
@common.on_folders
def diff(targets: common.Targets, as_json: bool) -> None:
    """Show which files differ from the lock.

    Exits 4 if any plugin differs. The files are known if PLUGINS.sha256 matches the lock: + was
    added, ~ was changed, - was removed, and ? is a plugin whose files are not known.

    \b
    Examples:
      codegenie plugins diff
      codegenie plugins diff --json examples/plugins
    """
    common.finish_each(targets, partial(run, as_json=as_json), render, advise, as_json=as_json)


@dataclass(frozen=True)
class Outcome:
    """The plugins that differ.

    Attributes:
        reviewed: the refusals of the plugins in the document.
        others: all other refusals.
    """

    target: common.Target
    document: documents.Diff
    reviewed: tuple[Refusal, ...]
    others: tuple[Refusal, ...]

    @property
    def status(self) -> int:
        return DIFFERS if self.reviewed or self.others else 0


def run(target: common.Target, *, as_json: bool) -> Outcome:
    """Compare every plugin with the lock."""
    folder = target.folder
    locked = lock_format.read(folder.lock)
    entries = locked.value if isinstance(locked, Ok) else {}
    verdicts = common.verdicts(target, as_json=as_json)
    refusals = [verdict.error for verdict in verdicts if isinstance(verdict, Err)]
    # A stray module is not a plugin, so it is not reviewed.
    reviewed = tuple(r for r in refusals if r.kind in _WITH_FILES and r.steps)
    document = documents.Diff(
        **common.about(folder, refusals),
        plugins={r.plugin: _row(_differences(folder, r, entries)) for r in reviewed},
    )
    others = tuple(refusal for refusal in refusals if refusal not in reviewed)
    return Outcome(target, document, reviewed, others)


def render(outcome: Outcome) -> None:
    """Print one line for each file that differs."""
    for plugin, row in outcome.document.plugins.items():
        for sign, key in SIGNS:
            for path in getattr(row, key):
                output.change(sign, _path_in_root(outcome.target.folder.root, plugin, path))
        if not row.known:
            output.change("?", plugin)
        elif not (row.changed or row.added or row.removed):
            output.change("+", f"{plugin}/")  # an empty folder can be imported as well


def advise(outcome: Outcome) -> None:
    """Say what is not known, what to run next, and what was refused for another reason."""
    rows = outcome.document.plugins
    unknown = [plugin for plugin, row in rows.items() if not row.known]
    mismatches = {r.plugin for r in outcome.reviewed if r.kind == "integrity_mismatch"}
    unproven = [plugin for plugin in unknown if plugin in mismatches]
    if unproven:
        output.message(
            f"which files differ is not known for: {', '.join(unproven)} "
            f"({file_list.SIDECAR_NAME} is missing or does not match the lock)"
        )
    where = output.shown_path(outcome.target.folder.lock)
    if not outcome.status:
        output.message(f"nothing differs from {where}")
        return
    if rows:
        output.message(f"review what differs, then run: {outcome.target.command('lock')}")
    # These show the files that may differ, by their times.
    guessed = [refusal for refusal in outcome.reviewed if refusal.plugin in unknown]
    output.explain([*guessed, *outcome.others], _summary(rows, len(outcome.others), where))


_WITH_FILES = ("integrity_mismatch", "missing_plugin_directory", "unlocked_plugin")


def _differences(
    folder: GuardedFolder, refusal: Refusal, entries: Mapping[str, str]
) -> Differences | None:
    """Return the files that differ, or None if they are not known."""
    if refusal.kind == "integrity_mismatch":
        return refusal.differences
    if refusal.kind == "missing_plugin_directory":
        section = file_list.read_section(folder.root, refusal.plugin, entries[refusal.plugin])
        return None if section is None else Differences([], [], sorted(section))
    walked = walk.walk(folder.root, refusal.plugin)
    return None if isinstance(walked, Err) else Differences([], sorted(walked.value.files), [])


def _path_in_root(root: str, unit: str, path: str) -> str:
    """Return the path of a unit's file below ROOT. The tree of a single file is named by it."""
    is_file = path == unit and not Path(root, on_disk(unit)).is_dir()
    return file_list.path_in_root(unit, path, is_file=is_file)


def _row(found: Differences | None) -> documents.PluginDifferences:
    shown = found or Differences([], [], [])
    return documents.PluginDifferences(
        known=found is not None,
        changed=list(shown.changed),
        added=list(shown.added),
        removed=list(shown.removed),
    )


def _summary(rows: Mapping[str, documents.PluginDifferences], rejected: int, where: str) -> str:
    counts = [(sum(len(getattr(row, key)) for row in rows.values()), key) for _, key in SIGNS]
    files = ", ".join(f"{output.count(n, 'file')} {key}" for n, key in counts if n)
    parts = []
    if rows:
        verb = "differs" if len(rows) == 1 else "differ"
        parts.append(f"{output.count(len(rows), 'plugin')} {verb} from {where}")
    if rejected:
        parts.append(f"{rejected} rejected")
    return ", ".join(parts) + (f": {files}" if files else "")
