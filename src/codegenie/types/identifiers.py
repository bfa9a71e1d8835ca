"""Plugin ids and digests as types. Only ``codegenie.types.parsers`` creates values."""

from typing import NewType

PluginId = NewType("PluginId", str)
"""A plugin's id, which is also its folder's name: ``^[a-z][a-z0-9_-]{0,127}$``."""

BlobDigest = NewType("BlobDigest", str)
"""A SHA-256 in lower-case hex: ``^[0-9a-f]{64}$``."""
