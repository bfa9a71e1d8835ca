"""Derive one word and a reason for how an interpreter is guarded.

The facts are from a start of the interpreter, and from the files of its environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from codegenie.activation.files import SITECUSTOMIZE, FileOwner
from codegenie.activation.probe import Start


class GuardState(Enum):
    """The protection that the next program started there has."""

    ENFORCING = "enforcing"
    AUDITING = "auditing"
    NOT_PINNED = "not_pinned"
    """An application's own start-up code has installed the guard, and can change it."""
    REFUSING = "refusing"
    """The guard could not be started: every plugin is refused, whatever the lock says."""
    NOT_RUNNING = "not_running"
    """There are activation files, but the start does not run them."""
    NOT_INSTALLED = "not_installed"

    @property
    def is_active(self) -> bool:
        """Return True if a guard decides by the lock."""
        return self in (GuardState.ENFORCING, GuardState.AUDITING, GuardState.NOT_PINNED)


@dataclass(frozen=True)
class Verdict:
    """The state, the activation file that has run (``by``), and a reason in words."""

    state: GuardState
    by: str | None = None
    reason: str | None = None
    supported: bool = True
    """False if the guard does not support the interpreter, so it refuses every plugin."""


def verdict_of(start: Start, present: Mapping[str, FileOwner]) -> Verdict:
    """Return the verdict on a start.

    Args:
        present: ``files.present`` of the environment's folder.
    """
    by = next((ran.file for ran in start.activations), None)
    if start.unsupported is not None:
        return Verdict(GuardState.REFUSING, by, start.unsupported, supported=False)
    for ran in start.activations:
        if ran.state != "guarded":
            return Verdict(GuardState.REFUSING, ran.file, ran.state or "it did not finish")
    if start.broken is not None:
        return Verdict(GuardState.REFUSING, by, f"its own code cannot be loaded: {start.broken}")
    if start.guard.get("active") is True:
        if start.guard.get("pinned") is not True:
            return Verdict(GuardState.NOT_PINNED)
        auditing = start.guard.get("mode") == "audit"
        return Verdict(
            GuardState.AUDITING if auditing else GuardState.ENFORCING, by, _note(start, present)
        )
    if by is not None:
        return Verdict(GuardState.NOT_RUNNING, by, "start-up code has switched it off again")
    installed = [name for name, whose in present.items() if whose != "foreign"]
    if not installed:
        return Verdict(GuardState.NOT_INSTALLED)
    name = installed[-1]
    other = start.sitecustomize if name == SITECUSTOMIZE else None
    if other is not None and Path(other).resolve() != Path(start.folder, name).resolve():
        return Verdict(GuardState.NOT_RUNNING, None, f"another one is run instead: {other}")
    return Verdict(GuardState.NOT_RUNNING, None, f"{name} is there, and was not run")


def _note(start: Start, present: Mapping[str, FileOwner]) -> str | None:
    """Return a remark on an active guard; None if there is nothing unusual."""
    folder = Path(start.folder).resolve()
    elsewhere = all(Path(ran.file).resolve().parent != folder for ran in start.activations)
    if elsewhere and "ours" in present.values():
        return f"it was run instead of the one in {start.folder}"
    if start.before_guard is not None:
        return f"{start.before_guard} was put before it, and comes second from the first import on"
    return None
