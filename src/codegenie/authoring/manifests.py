"""Decide by the policy of a folder what the ``plugin.yaml`` of a unit must be.

A manifest is a lint for ``lock``, ``verify`` and ``list``. The digest covers the file under every
policy, and only ``load_plugins`` needs it.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from codegenie.integrity.reading import read_verified
from codegenie.integrity.verification import MANIFEST_NAME
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.parsers import safe_yaml
from codegenie.plugins.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    PluginManifest,
    read_manifest,
)
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result

ManifestPolicy: TypeAlias = Literal["auto", "codegenie", "none"]
"""``auto``: a ``plugin.yaml`` with the key ``scope`` is checked, every other is the host's own, and
none is needed. ``codegenie``: each folder needs a valid one. ``none``: no file is looked at."""

POLICIES: tuple[ManifestPolicy, ...] = get_args(ManifestPolicy)
DEFAULT_POLICY: ManifestPolicy = "auto"

_OUR_KEY = "scope"
_LINE_OF_OUR_KEY = re.compile(rb"^[\"']?scope[\"']?[ \t]*:", re.MULTILINE)


def check(
    found: VerifiedTree, policy: ManifestPolicy = DEFAULT_POLICY
) -> Result[PluginManifest | None, Refusal]:
    """Return the manifest of a walked unit, or None if the unit has none that is ours.

    A single file has no manifest and needs none.

    Returns:
        A ``missing_manifest`` or ``schema_violation`` if the policy refuses the unit.
    """
    if policy == "none" or found.is_file:
        return Ok(None)
    if MANIFEST_NAME not in found.files:
        if policy == "codegenie":
            return Err(kinds.MISSING_MANIFEST.refusal(found.root, found.plugin))
        return Ok(None)
    if policy == "auto":
        ours = _is_ours(found)
        if isinstance(ours, Err):
            return ours
        if not ours.value:
            return Ok(None)
    return read_manifest(found)


def _is_ours(found: VerifiedTree) -> Result[bool, Refusal]:
    """Return True if a ``plugin.yaml`` has our key. A file that is no YAML has it in some line."""
    if found.files[MANIFEST_NAME][1] > MAX_MANIFEST_BYTES:
        return Ok(False)
    data = read_verified(found, MANIFEST_NAME)
    if isinstance(data, Err):
        return data
    try:
        value = safe_yaml.parse(data.value, max_depth=MAX_MANIFEST_DEPTH)
    except safe_yaml.Ambiguous as error:
        value = error.value
    except ValueError:
        return Ok(_LINE_OF_OUR_KEY.search(data.value) is not None)
    return Ok(isinstance(value, dict) and _OUR_KEY in value)
