"""The two identities of the contract. Values are made by ``codegenie.types.parsers`` only."""

from typing import NewType

PluginId = NewType("PluginId", str)
"""A plugin's id, which is also its folder's name: ``^[a-z][a-z0-9_-]{0,127}$``."""

BlobDigest = NewType("BlobDigest", str)
"""A SHA-256 in lower-case hex: ``^[0-9a-f]{64}$``."""
