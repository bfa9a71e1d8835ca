"""``codegenie plugins``: lock, verify, list, diff, load, compile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from codegenie.cli import output
from codegenie.plugins import compiling, loader, locking
from codegenie.plugins._enforce import lock as lock_format
from codegenie.plugins._enforce import packs, sidecar, tree
from codegenie.plugins._enforce.cache import VerifiedTree
from codegenie.plugins._enforce.refusal import Differences, Refusal, printable
from codegenie.plugins._enforce.settings import Settings
from codegenie.plugins._finder import LOCK_NAME
from codegenie.plugins.errors import GuardSettled
from codegenie.plugins.guard import install
from codegenie.plugins.manifest import PluginManifest
from codegenie.plugins.registry import PluginRegistry, name_of
from codegenie.result import Err

SHORT_DIGEST = 12
"""Digits of a digest where only the eye compares."""

F = TypeVar("F", bound=Callable[..., Any])


def _common(command: F) -> F:
    """What every command takes: the plugin folder, the lock, the form of the output."""
    command = output.json_option(command)
    command = click.option(
        "--lock",
        "lock_path",
        type=click.Path(dir_okay=False),
        help="The lock, if it is not ROOT/PLUGINS.lock.",
    )(command)
    return click.argument("root", default="plugins", type=click.Path(exists=True, file_okay=False))(
        command
    )


def _settings(root: str, lock_path: str | None) -> Settings:
    root = os.path.abspath(root)
    lock = os.path.abspath(lock_path) if lock_path else f"{root}/{LOCK_NAME}"
    return Settings(root, lock, scope="all", mode="enforce", on_refusal="raise")


@click.group()
def plugins() -> None:
    """Pin the plugins in a folder and check them."""


@plugins.command()
@_common
@click.option("--check", is_flag=True, help="Write nothing; exit 4 if the lock would change.")
def lock(root: str, lock_path: str | None, as_json: bool, check: bool) -> None:
    """Validate every plugin below ROOT and pin its digest in the lock.

    Example: codegenie plugins lock --check plugins
    """
    settings = _settings(root, lock_path)
    proposal = locking.propose(settings.root, settings.lock)
    change = locking.compare(proposal, settings.lock)
    refusals = list(proposal.refusals)
    written = False
    if not refusals and change and not check:
        failed = locking.write(proposal, settings.lock)
        written = failed is None or failed.location != settings.lock
        refusals.extend([failed] if failed else [])
    document = {
        "root": settings.root,
        "lock": settings.lock,
        "plugins": proposal.entries,
        "added": change.added,
        "changed": change.changed,
        "removed": change.removed,
        "would_change": bool(change),
        "written": written,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals),
    }

    def text() -> None:
        for sign, names in (("+", change.added), ("~", change.changed), ("-", change.removed)):
            for name in names:
                click.echo(f"{sign} {name}")

    output.result(document, as_json=as_json, text=text)
    if refusals:
        if not written:
            output.message(f"nothing was written to {printable(settings.lock)}")
        output.end_rejected(refusals)
    stale = compiling.stale_plugins(settings.lock, proposal.entries)
    if stale and not check:
        output.message(
            f"the bytecode of {', '.join(stale)} is stale and will not be used; "
            f"run: codegenie plugins compile {printable(root)}"
        )
    if check and change:
        output.message(
            printable(f"{settings.lock} is not up to date; run: codegenie plugins lock {root}")
        )
        raise output.Rejected(4)
    count = _count(len(proposal.trees), "plugin")
    output.message(
        f"{count} pinned in {printable(settings.lock)}"
        if written
        else f"{count}, nothing to change"
    )


@plugins.command()
@_common
@click.option(
    "--bytecode",
    is_flag=True,
    help="Recompile every module, and compare with the packs of this interpreter.",
)
def verify(root: str, lock_path: str | None, as_json: bool, bytecode: bool) -> None:
    """Check every plugin below ROOT against the lock.

    Prints the digest of each plugin that passed; exits 4 if any did not.

    Example: codegenie plugins verify examples/plugins
    """
    settings = _settings(root, lock_path)
    passed: list[tuple[VerifiedTree, PluginManifest]] = []
    refusals: list[Refusal] = []
    for verdict in loader.verify_plugins(settings, loader.require_manifest):
        if isinstance(verdict, Err):
            refusals.append(verdict.error)
        else:
            passed.append(verdict.value)
    unused: dict[str, str] = {}
    for found, _ in passed if bytecode else ():
        wrong = compiling.check_pack(found, settings.lock)
        if isinstance(wrong, Refusal):
            refusals.append(wrong)
        elif wrong is not None:
            unused[found.plugin] = wrong
    document = {
        "root": settings.root,
        "lock": settings.lock,
        "verified": [
            {
                "plugin": found.plugin,
                "version": manifest.version,
                "files": len(found.files),
                "digest": found.digest,
            }
            for found, manifest in passed
        ],
        **({"unused_bytecode": unused} if bytecode else {}),
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals),
    }

    def text() -> None:
        for found, _ in passed:
            click.echo(f"{found.digest}  {found.plugin}")

    output.result(document, as_json=as_json, text=text)
    files = _count(sum(len(found.files) for found, _ in passed), "file")
    output.message(
        f"{_count(len(passed), 'plugin')} verified, {files}, against {printable(settings.lock)}"
    )
    for plugin, reason in unused.items():
        output.message(printable(f"the bytecode of {plugin} would not be used: {reason}"))
    if refusals:
        output.message("")
        output.end_rejected(refusals)


@plugins.command(name="compile")
@_common
def compile_plugins(root: str, lock_path: str | None, as_json: bool) -> None:
    """Compile every plugin below ROOT for this interpreter.

    Writes packs of bytecode beside the lock, which bind to what it pins; run it after each lock,
    with each interpreter that imports the plugins. A pack that does not fit is not used.

    Example: codegenie plugins compile plugins
    """
    settings = _settings(root, lock_path)
    compiled: list[compiling.Compiled] = []
    refusals: list[Refusal] = []
    for verdict in loader.verify_plugins(settings, loader.require_manifest):
        if isinstance(verdict, Err):
            refusals.append(verdict.error)
            continue
        try:
            written = compiling.write_pack(verdict.value[0], settings.lock)
        except compiling.NotWritten as error:
            raise click.ClickException(printable(str(error))) from None
        if isinstance(written, Err):
            refusals.append(written.error)
        else:
            compiled.append(written.value)
    document = {
        "root": settings.root,
        "lock": settings.lock,
        "folder": packs.folder_for(settings.lock),
        "compiled": [dataclasses.asdict(one) for one in compiled],
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals),
    }

    def text() -> None:
        output.table(
            ("plugin", "modules", "bytes"),
            ((one.plugin, str(one.modules), str(one.size)) for one in compiled),
        )

    output.result(document, as_json=as_json, text=text)
    output.message(
        printable(
            f"{_count(len(compiled), 'plugin')} compiled into {packs.folder_for(settings.lock)}"
        )
    )
    if refusals:
        output.message("")
        output.end_rejected(refusals)


@plugins.command(name="list")
@_common
def list_plugins(root: str, lock_path: str | None, as_json: bool) -> None:
    """Show every plugin below ROOT and whether the lock agrees with it.

    Example: codegenie plugins list
    """
    settings = _settings(root, lock_path)
    locked = lock_format.read(settings.lock)
    if isinstance(locked, Err):
        locked.error.settle(settings.root, settings.lock)
        output.result(
            {
                "plugins": [],
                "rejections": output.rejections([locked.error]),
                "explanations": output.explanations([locked.error]),
            },
            as_json=as_json,
            text=lambda: None,
        )
        output.end_rejected([locked.error])
    proposal = locking.propose(settings.root, settings.lock)
    rows: list[dict[str, Any]] = []
    for plugin, found in proposal.trees.items():
        manifest = locking.read_manifest(found)
        pinned = locked.value.get(plugin)
        state = "locked" if pinned == found.digest else "drifted" if pinned else "not locked"
        rows.append(
            {
                "plugin": plugin,
                "version": "?" if isinstance(manifest, Err) else manifest.value.version,
                "files": len(found.files),
                "bytes": sum(size for _, size in found.files.values()),
                "digest": found.digest,
                "state": state,
            }
        )
    refused = {refusal.plugin: refusal.kind for refusal in proposal.refusals}
    refused.update(
        dict.fromkeys(
            locked.value.keys() - proposal.trees.keys() - refused.keys(), "missing_plugin_directory"
        )
    )
    for plugin, kind in refused.items():
        rows.append(
            {
                "plugin": plugin,
                "version": None,
                "files": None,
                "bytes": None,
                "digest": None,
                "state": kind,
            }
        )
    rows.sort(key=lambda row: row["plugin"])
    columns = ("plugin", "version", "files", "bytes", "digest", "state")

    def text() -> None:
        output.table(columns, ([_cell(row[c], c) for c in columns] for row in rows))

    output.result(
        {
            "root": settings.root,
            "lock": settings.lock,
            "plugins": rows,
            "rejections": output.rejections(proposal.refusals),
            "explanations": output.explanations(proposal.refusals),
        },
        as_json=as_json,
        text=text,
    )


@plugins.command()
@_common
def diff(root: str, lock_path: str | None, as_json: bool) -> None:
    """Show which files differ from the lock; exit 4 if any plugin does.

    The files are known where PLUGINS.sha256 proves itself against the lock.

    Example: codegenie plugins diff plugins
    """
    settings = _settings(root, lock_path)
    locked = lock_format.read(settings.lock)
    refusals: list[Refusal] = []
    rows: dict[str, dict[str, Any]] = {}
    if isinstance(locked, Err):
        refusals.append(locked.error.settle(settings.root, settings.lock))
        locked_entries: dict[str, str] = {}
    else:
        locked_entries = locked.value
        verdicts = loader.verify_plugins(settings, loader.require_manifest)
        refusals.extend(verdict.error for verdict in verdicts if isinstance(verdict, Err))
    for refusal in refusals:
        if refusal.kind == "integrity_mismatch":
            differences = refusal.differences
            rows[refusal.plugin] = _difference_row(differences)
        elif refusal.kind == "missing_plugin_directory":
            section = sidecar.read_section(
                settings.root, refusal.plugin, locked_entries[refusal.plugin]
            )
            rows[refusal.plugin] = _difference_row(
                None if section is None else Differences([], [], sorted(section))
            )
        elif refusal.kind == "unlocked_plugin":
            walked = tree.walk(settings.root, refusal.plugin)
            rows[refusal.plugin] = _difference_row(
                None if isinstance(walked, Err) else Differences([], sorted(walked.value.files), [])
            )
    document = {
        "root": settings.root,
        "lock": settings.lock,
        "plugins": rows,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals),
    }

    def text() -> None:
        for plugin, row in rows.items():
            for sign, key in (("~", "changed"), ("+", "added"), ("-", "removed")):
                for path in row[key]:
                    click.echo(printable(f"{sign} {plugin}/{path}"))
            if not row["known"]:
                click.echo(f"? {plugin}")

    output.result(document, as_json=as_json, text=text)
    unknown = [plugin for plugin, row in rows.items() if not row["known"]]
    if unknown:
        output.message(
            f"which files differ is not known for: {', '.join(unknown)} "
            f"({sidecar.SIDECAR_NAME} does not prove itself against the lock)"
        )
    others = [refusal for refusal in refusals if refusal.plugin not in rows]
    if others:
        output.end_rejected(others)
    if refusals:
        raise output.Rejected(4)
    output.message("nothing differs from the lock")


@plugins.command()
@_common
def load(root: str, lock_path: str | None, as_json: bool) -> None:
    """Verify, import and register every plugin below ROOT, as an application does.

    Example: codegenie plugins load examples/plugins
    """
    settings = _settings(root, lock_path)
    registry = PluginRegistry()
    # What this command tells is whether the plugins pass, whatever the environment says; and
    # standard output is for its result, not for what plugins print.
    try:
        install(mode="enforce", on_refusal="raise")
    except GuardSettled as error:
        raise click.ClickException(str(error)) from None
    with contextlib.redirect_stdout(sys.stderr):
        loaded = loader.run_gates(settings.root, settings.lock, registry=registry)
    if isinstance(loaded, Err):
        output.result(
            {
                "loaded": [],
                "registered": [],
                "rejections": output.rejections([loaded.error]),
                "explanations": output.explanations([loaded.error]),
            },
            as_json=as_json,
            text=lambda: None,
        )
        output.end_rejected([loaded.error])
    report = loaded.value
    registered = [name_of(plugin) for plugin in registry.all()]
    output.result(
        {
            **report.model_dump(mode="json"),
            "registered": registered,
            "rejections": [],
            "explanations": [],
        },
        as_json=as_json,
        text=lambda: click.echo("\n".join(report.loaded)),
    )
    output.message(f"{_count(len(report.loaded), 'plugin')} loaded, {len(registered)} registered")


def _difference_row(differences: Differences | None) -> dict[str, Any]:
    known = differences is not None
    shown = differences or Differences([], [], [])
    return {
        "known": known,
        "changed": shown.changed,
        "added": shown.added,
        "removed": shown.removed,
    }


def _cell(value: object, column: str) -> str:
    if value is None:
        return "-"
    return str(value)[:SHORT_DIGEST] if column == "digest" else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
