"""Define verifiers: an application can decide itself if a plugin's tree passes.

Only bytes of the guard's own walk of a plugin's folder execute. Threat: an attacker changes the
folder, so a verifier that reads it again checks other bytes. Rule: a ``TreeVerifier`` receives the
guard's walk:

    class OnlyPython:
        def verify_tree(self, plugin_dir, expected, found):
            if found.digest != expected:
                return Err(VerificationError(plugin_dir, expected, found.digest))
            if any(path.endswith(".so") for path in found.files):
                return Err(VerificationError(plugin_dir, expected, detail="it has machine code"))
            return Ok(None)

    load_plugins(root, lock, verifier=OnlyPython())

While a verifier runs, ``Sha256TreeDigestVerifier`` and ``compute_plugin_tree_digest`` use the same
walk.
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

    ``actual`` is the tree digest that the verifier computed, if any. ``rejection`` is set if the
    tree could not be read. ``detail`` explains the error to a person.
    """

    plugin_dir: Path
    expected: BlobDigest
    actual: BlobDigest | None = None
    detail: str = ""
    rejection: PluginRejected | None = None


class WalkedTree:
    """A plugin's folder as the guard's own walk has read it. Only these bytes execute."""

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
        """Return the bytes of a file as the walk has read them, or a rejection if they changed.

        Raises:
            KeyError: the tree has no such file.
        """
        data = read_verified(self._tree, relative)
        return Err(model_of(data.error)) if isinstance(data, Err) else data


@runtime_checkable
class PluginVerifier(Protocol):
    """Decides if the folder of a plugin is the one that was pinned."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        """Accept with ``Ok(None)``. ``expected`` is the plugin's digest in the lock."""
        ...


@runtime_checkable
class TreeVerifier(Protocol):
    """Decides by the bytes that the guard's walk of the folder has read.

    If a verifier has both methods, ``load_plugins`` calls ``verify_tree`` and not ``verify``.
    """

    def verify_tree(
        self, plugin_dir: Path, expected: BlobDigest, found: WalkedTree
    ) -> Result[None, VerificationError]:
        """Accept with ``Ok(None)``. Then the bytes in ``found`` execute."""
        ...


@dataclass(frozen=True)
class Sha256TreeDigestVerifier:
    """The default verifier: compares the tree digest with the lock."""

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        """Walk the folder and compare its tree digest with the lock.

        Args:
            plugin_dir: the plugin's folder, absolute or relative to the working folder.
            expected: the plugin's digest in the lock.

        Returns:
            ``Ok(None)``; or a ``VerificationError`` with ``actual``, or with ``rejection`` if the
            folder cannot be hashed.
        """
        folder = Path(os.path.abspath(plugin_dir))
        walked = walk_as_the_guard(folder)
        if isinstance(walked, Err):
            rejection = model_of(walked.error)
            return Err(VerificationError(folder, expected, rejection=rejection))
        actual = parse_blob_digest(walked.value.digest).unwrap()
        if actual != expected:
            return Err(VerificationError(folder, expected, actual))
        return Ok(None)
