"""``PLUGINS.lock`` as a model. The format itself is in ``codegenie.integrity.lock``."""

from __future__ import annotations

import os

from pydantic import ConfigDict, RootModel, field_validator

from codegenie.integrity import lock
from codegenie.plugins.errors import LockFileMalformed, model_of
from codegenie.result import Err, Ok, Result
from codegenie.types.identifiers import BlobDigest, PluginId
from codegenie.types.parsers import parse_blob_digest, parse_plugin_id


class LockFile(RootModel[dict[PluginId, BlobDigest]]):
    """The tree digest of every plugin."""

    model_config = ConfigDict(frozen=True)

    @field_validator("root")
    @classmethod
    def _by_the_grammar(cls, entries: dict[PluginId, BlobDigest]) -> dict[PluginId, BlobDigest]:
        """Refuse ids and digests that the parsers refuse, however the model was made."""
        for plugin, digest in entries.items():
            for parsed in (parse_plugin_id(plugin), parse_blob_digest(digest)):
                if isinstance(parsed, Err):
                    raise ValueError(str(parsed.error))
        return entries

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Result[LockFile, LockFileMalformed]:
        """Read a lock. Every error is a ``LockFileMalformed``.

        Does not check who vouches for the lock, and verifies no tree.

        Args:
            path: the lock. A link is not followed.

        Example:
            locked = LockFile.from_path("plugins/PLUGINS.lock").unwrap()
            print(sorted(locked.root))
        """
        entries = lock.read(os.fspath(path))
        if isinstance(entries, Err):
            rejection = model_of(entries.error)
            assert isinstance(rejection, LockFileMalformed)  # noqa: S101  # lock.read makes no other
            return Err(rejection)
        return Ok(cls({PluginId(p): BlobDigest(d) for p, d in entries.value.items()}))
