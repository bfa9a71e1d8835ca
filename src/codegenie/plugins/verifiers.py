"""The seam for other ways to decide whether a tree passes, and the default.

What executes is bound to the guard's own walk of a plugin's folder. A verifier that reads the
folder again can be shown other bytes, so a ``TreeVerifier`` is given what the walk has read:

    class OnlyPython:
        def verify_tree(self, plugin_dir, expected, found):
            if found.digest != expected:
                return Err(VerificationError(plugin_dir, expected, found.digest))
            if any(path.endswith(".so") for path in found.files):
                return Err(VerificationError(plugin_dir, expected, detail="it has machine code"))
            return Ok(None)

    load_plugins(root, lock, verifier=OnlyPython())

While a verifier is asked, ``Sha256TreeDigestVerifier`` and ``compute_plugin_tree_digest`` use that
walk, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from codegenie.integrity.reading import read_verified
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.integrity.walk import Tree
from codegenie.plugins._walks import walk_as_the_guard
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


class WalkedTree:
    """A plugin's folder as the guard's own walk has read it, and as it executes if it passes."""

    def __init__(self, root: str, plugin: str, found: Tree) -> None:
        self._tree = VerifiedTree(root, plugin, found)

    @property
    def digest(self) -> BlobDigest:
        """The tree digest."""
        return parse_blob_digest(self._tree.digest).unwrap()

    @property
    def files(self) -> Mapping[str, BlobDigest]:
        """The SHA-256 of each file, by its path below the plugin's folder."""
        return MappingProxyType(
            {
                path: parse_blob_digest(digest.hex()).unwrap()
                for path, (digest, _) in self._tree.files.items()
            }
        )

    def read(self, relative: str) -> Result[bytes, PluginRejected]:
        """Return the bytes of a file as the walk has read them; a rejection if it has changed.

        Raises:
            KeyError: the walk has not found such a file.
        """
        data = read_verified(self._tree, relative)
        return Err(model_of(data.error)) if isinstance(data, Err) else data


@runtime_checkable
class PluginVerifier(Protocol):
    """Decides whether the folder of a plugin is the one that was pinned."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        """Accept with ``Ok(None)``. ``expected`` is the plugin's digest in the lock."""
        ...


@runtime_checkable
class TreeVerifier(Protocol):
    """Decides by what the guard's walk of the folder has read. ``load_plugins`` asks this method in
    place of ``verify``, where a verifier has both."""

    def verify_tree(
        self, plugin_dir: Path, expected: BlobDigest, found: WalkedTree
    ) -> Result[None, VerificationError]:
        """Accept with ``Ok(None)``. ``found`` is what executes, if it is accepted."""
        ...


@dataclass(frozen=True)
class Sha256TreeDigestVerifier:
    """The default: an integrity check of the tree digest."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        folder = Path(os.path.abspath(plugin_dir))
        walked = walk_as_the_guard(folder)
        if isinstance(walked, Err):
            rejection = model_of(walked.error)
            return Err(VerificationError(folder, expected, rejection=rejection))
        actual = parse_blob_digest(walked.value.digest).unwrap()
        if actual != expected:
            return Err(VerificationError(folder, expected, actual))
        return Ok(None)
