"""What the commands share: their arguments, and the verdicts that most of them begin with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from codegenie._start import LOCK_NAME
from codegenie.cli import output, progress
from codegenie.plugins import loader
from codegenie.plugins._enforce import lock as lock_format
from codegenie.plugins._enforce import tree
from codegenie.plugins._enforce.cache import VerifiedTree
from codegenie.plugins._enforce.refusal import Refusal
from codegenie.plugins._enforce.settings import Settings
from codegenie.plugins.manifest import PluginManifest
from codegenie.result import Ok, Result

DEFAULT_ROOT = "plugins"

F = TypeVar("F", bound=Callable[..., Any])
Verdict = Result[tuple[VerifiedTree, PluginManifest], Refusal]

root_argument = click.argument(
    "root", default=DEFAULT_ROOT, type=click.Path(exists=True, file_okay=False)
)
lock_option = click.option(
    "--lock",
    "lock_path",
    type=click.Path(dir_okay=False),
    help="The lock, if it is not ROOT/PLUGINS.lock.",
)


def on_a_folder(command: F) -> F:
    """What every command on a plugin folder takes: the folder, the lock, the form of the output."""
    return root_argument(lock_option(output.json_option(command)))


def settings_of(root: str, lock_path: str | None) -> Settings:
    """The set-up that a guard would have there, with the paths made absolute."""
    root = os.path.abspath(root)
    lock = os.path.abspath(lock_path) if lock_path else f"{root}/{LOCK_NAME}"
    return Settings(root, lock, scope="all", mode="enforce", on_refusal="raise")


def about(settings: Settings, refusals: Sequence[Refusal]) -> dict[str, Any]:
    """The fields that every document about a plugin folder has."""
    return {
        "root": settings.root,
        "lock": settings.lock,
        "rejections": output.rejections(refusals),
        "explanations": output.explanations(refusals, settings),
    }


def present_in(root: str) -> list[str]:
    """The names of what can be imported from a folder; none if it cannot be listed."""
    present = tree.importable_entries(root)
    return sorted(present.value) if isinstance(present, Ok) else []


def verdicts(settings: Settings, *, as_json: bool) -> Iterator[Verdict]:
    """One verdict per plugin, with progress shown while they are made."""
    locked = lock_format.read(settings.lock)
    pinned = locked.value if isinstance(locked, Ok) else {}
    return progress.follow(
        "verifying",
        sorted({*pinned, *present_in(settings.root)}),
        loader.verify_plugins(settings, loader.require_manifest),
        files=lambda verdict: len(verdict.value[0].files) if isinstance(verdict, Ok) else 0,
        shown=not as_json,
    )
