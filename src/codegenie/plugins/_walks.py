"""One walk of a plugin's folder for all that is asked about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codegenie.plugins._enforce import tree
from codegenie.plugins._enforce.refusal import Refusal
from codegenie.plugins._enforce.tree import Tree
from codegenie.result import Ok, Result

_asked_about: dict[str, Tree] = {}
"""The guard's walk of the folder about which a verifier is asked now, by the folder's real path.

Not by thread: a verifier may have worker threads, and ``load_plugins`` runs once at a time."""


@contextmanager
def asking_about(folder: Path, found: Tree) -> Iterator[None]:
    """Have ``walk`` return what the guard has found, while a verifier is asked about a folder."""
    place = os.path.realpath(folder)
    _asked_about[place] = found
    try:
        yield
    finally:
        _asked_about.pop(place, None)


def walk(folder: Path) -> Result[Tree, Refusal]:
    """Walk a plugin's folder; while a verifier is asked about it, return the guard's walk instead.

    Threat: a file changes between the guard's walk and the verifier's, and changes back. Then the
    verifier accepts other bytes than those that execute. Rule: both decide by one walk.

    Args:
        folder: absolute.
    """
    asked = _asked_about.get(os.path.realpath(folder))
    return tree.walk(str(folder.parent), folder.name) if asked is None else Ok(asked)
