"""The seam for other ways to decide whether a tree passes, and the default.

Another verifier reads the tree itself, after the guard's own walk has read it. What executes is
bound to the walk; that both saw the same bytes is the verifier's promise, not ours. A verifier that
checks a key over the locked digest (and so needs no file at all) has no such gap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from codegenie.plugins._enforce import tree
from codegenie.plugins.errors import PluginRejected, model_of
from codegenie.result import Err, Ok, Result
from codegenie.types.identifiers import BlobDigest
from codegenie.types.parsers import parse_blob_digest


@dataclass(frozen=True)
class VerificationError:
    """A verifier does not accept a folder.

    ``actual`` is the tree digest it found, if it found one. ``rejection`` is set where the tree
    could not be read at all; ``detail`` says what a person should know.
    """

    plugin_dir: Path
    expected: BlobDigest
    actual: BlobDigest | None = None
    detail: str = ""
    rejection: PluginRejected | None = None


@runtime_checkable
class PluginVerifier(Protocol):
    """Decides whether the folder of a plugin is the one that was pinned."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        """Accept with ``Ok(None)``. ``expected`` is the plugin's digest in the lock."""
        ...


@dataclass(frozen=True)
class Sha256TreeDigestVerifier:
    """The default: an integrity check of the tree digest."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        folder = Path(os.path.abspath(plugin_dir))
        walked = tree.walk(str(folder.parent), folder.name)
        if isinstance(walked, Err):
            rejection = model_of(walked.error)
            return Err(VerificationError(folder, expected, rejection=rejection))
        actual = parse_blob_digest(walked.value.digest).unwrap()
        if actual != expected:
            return Err(VerificationError(folder, expected, actual))
        return Ok(None)
