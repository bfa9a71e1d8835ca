"""The rejections as frozen models, one per kind, and the exceptions that carry them.

``PluginRejected`` is the tagged union; ``kind`` is the discriminator. The enforcement path works
with the plain records of ``codegenie.refusals.kinds``; ``model_of`` turns one into its
model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter

from codegenie.files import utf8_text
from codegenie.plugins.registry import PluginAlreadyRegistered, PluginNotRegistered
from codegenie.refusals.exceptions import (
    GuardNotEnforcing,
    GuardSettled,
    GuardTooLate,
    PluginImportRefused,
)
from codegenie.types.identifiers import BlobDigest, PluginId

if TYPE_CHECKING:
    from codegenie.refusals.record import Refusal

__all__ = [
    "GuardNotEnforcing",
    "GuardSettled",
    "GuardTooLate",
    "IntegrityMismatch",
    "LockFileMalformed",
    "MissingManifest",
    "MissingPluginDirectory",
    "PluginAlreadyRegistered",
    "PluginImportError",
    "PluginImportRefused",
    "PluginNotRegistered",
    "PluginRejected",
    "SchemaViolation",
    "SymlinkEscape",
    "UnhashableTree",
    "UnlockedPlugin",
    "UnverifiedCode",
    "exit_code_for_rejection",
    "model_of",
]


def _printable(value: Path | str) -> str:
    """As text that UTF-8 can hold: a path from the disk may hold surrogates for other bytes."""
    return utf8_text(str(value))


_Path = Annotated[Path, PlainSerializer(_printable, return_type=str, when_used="json")]
_Detail = Annotated[str, PlainSerializer(_printable, return_type=str, when_used="json")]


class _Rejection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plugin: PluginId


class IntegrityMismatch(_Rejection):
    """The tree is not the one that the lock pins. Both are tree digests."""

    kind: Literal["integrity_mismatch"] = "integrity_mismatch"
    expected: BlobDigest
    actual: BlobDigest


class MissingManifest(_Rejection):
    """The plugin's folder holds no ``plugin.yaml``."""

    kind: Literal["missing_manifest"] = "missing_manifest"


class SchemaViolation(_Rejection):
    """``plugin.yaml`` is not what the format of a manifest asks for."""

    kind: Literal["schema_violation"] = "schema_violation"
    detail: _Detail


class UnlockedPlugin(_Rejection):
    """It can be imported and is not in the lock."""

    kind: Literal["unlocked_plugin"] = "unlocked_plugin"


class MissingPluginDirectory(_Rejection):
    """It is in the lock and its folder is not there."""

    kind: Literal["missing_plugin_directory"] = "missing_plugin_directory"


class PluginImportError(_Rejection):
    """Its tree passed, and importing or registering it failed."""

    kind: Literal["plugin_import_error"] = "plugin_import_error"
    detail: _Detail


class SymlinkEscape(_Rejection):
    """A symbolic link stands in its folder, or in the folder's place."""

    kind: Literal["symlink_escape"] = "symlink_escape"
    offending_path: _Path


class LockFileMalformed(_Rejection):
    """There is no valid lock. ``plugin`` is ``"<lockfile>"``."""

    kind: Literal["lock_file_malformed"] = "lock_file_malformed"
    detail: _Detail


class UnhashableTree(_Rejection):
    """Its folder holds an entry that cannot be pinned."""

    kind: Literal["unhashable_tree"] = "unhashable_tree"
    offending_path: _Path
    detail: _Detail


class UnverifiedCode(_Rejection):
    """Code that does not come from the verified bytes of a file, found when it was about to run."""

    kind: Literal["unverified_code"] = "unverified_code"
    offending_path: _Path
    detail: _Detail


PluginRejected = Annotated[
    IntegrityMismatch
    | MissingManifest
    | SchemaViolation
    | UnlockedPlugin
    | MissingPluginDirectory
    | PluginImportError
    | SymlinkEscape
    | LockFileMalformed
    | UnhashableTree
    | UnverifiedCode,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[PluginRejected] = TypeAdapter(PluginRejected)


def model_of(refusal: Refusal) -> PluginRejected:
    """The model of a plain refusal."""
    return _ADAPTER.validate_python(
        {"kind": refusal.kind, "plugin": refusal.plugin, **refusal.evidence}
    )


def exit_code_for_rejection(rejection: PluginRejected) -> int:
    """The status that the command line ends with."""
    match rejection:
        case (
            IntegrityMismatch()
            | MissingManifest()
            | SchemaViolation()
            | UnlockedPlugin()
            | MissingPluginDirectory()
            | PluginImportError()
            | SymlinkEscape()
            | LockFileMalformed()
            | UnhashableTree()
            | UnverifiedCode()
        ):
            return 4
        case _:
            assert_never(rejection)
