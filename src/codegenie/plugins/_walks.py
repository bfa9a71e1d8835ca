"""Share one walk of a plugin's folder between the guard and a verifier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codegenie.integrity import walk
from codegenie.integrity.walk import Tree
from codegenie.refusals.record import Refusal
from codegenie.result import Ok, Result

_asked_about: dict[str, Tree] = {}
"""The guard's walk of the folder that a verifier checks now, by the folder's real path.

Not by thread, because a verifier may use worker threads. Only one ``load_plugins`` runs at a time.
"""


@contextmanager
def asking_about(folder: Path, found: Tree) -> Iterator[None]:
    """Have ``walk_as_the_guard`` return the guard's own walk until the block ends."""
    place = os.path.realpath(folder)
    earlier = _asked_about.get(place)
    _asked_about[place] = found
    try:
        yield
    finally:
        if earlier is None:
            _asked_about.pop(place, None)
        else:  # a verifier has loaded plugins
            _asked_about[place] = earlier


def forget_walks() -> None:
    """Forget the walks of a load, in the child of a fork: its thread did not come along."""
    _asked_about.clear()


def walk_as_the_guard(folder: Path) -> Result[Tree, Refusal]:
    """Walk a plugin's folder, or return the guard's walk while a verifier checks the folder.

    Threat: a file changes between the guard's walk and the verifier's, and changes back. Then the
    verifier accepts other bytes than those that execute. Rule: both use the same walk.

    Args:
        folder: absolute.
    """
    asked = _asked_about.get(os.path.realpath(folder))
    return walk.walk(str(folder.parent), folder.name) if asked is None else Ok(asked)
