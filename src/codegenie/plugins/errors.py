"""Rejections as frozen models, one per kind, and the exceptions that carry them.

``PluginRejected`` is the tagged union, and ``kind`` is the discriminator. The enforcement path uses
the plain records of ``codegenie.refusals.kinds``. ``model_of`` converts a record to its model.
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
    "UntrustedLock",
    "UnverifiedCode",
    "exit_code_for_rejection",
    "model_of",
]


def _printable(value: Path | str) -> str:
    """Return text that UTF-8 can hold. A path from the disk may hold surrogates."""
    return utf8_text(str(value))


_Path = Annotated[Path, PlainSerializer(_printable, return_type=str, when_used="json")]
_Detail = Annotated[str, PlainSerializer(_printable, return_type=str, when_used="json")]


class _Rejection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plugin: PluginId


class IntegrityMismatch(_Rejection):
    """The tree does not match the lock.

    ``expected`` is the tree digest in the lock, ``actual`` that of the folder now. The files that
    differ are in the message of ``PluginImportRefused``, if ``PLUGINS.sha256`` knows them.
    """

    kind: Literal["integrity_mismatch"] = "integrity_mismatch"
    expected: BlobDigest
    actual: BlobDigest


class MissingManifest(_Rejection):
    """The plugin's folder has no ``plugin.yaml``."""

    kind: Literal["missing_manifest"] = "missing_manifest"


class SchemaViolation(_Rejection):
    """``plugin.yaml`` does not follow the format of a manifest.

    ``detail`` names the field and the error.
    """

    kind: Literal["schema_violation"] = "schema_violation"
    detail: _Detail


class UnlockedPlugin(_Rejection):
    """The plugin can be imported but is not in the lock.

    Threat: an attacker who can write the folder adds a plugin. Rule 6.7: with ``scope="all"``, one
    such entry refuses the whole folder.
    """

    kind: Literal["unlocked_plugin"] = "unlocked_plugin"


class MissingPluginDirectory(_Rejection):
    """The plugin is in the lock but its folder, or its file, is missing."""

    kind: Literal["missing_plugin_directory"] = "missing_plugin_directory"


class PluginImportError(_Rejection):
    """The plugin's tree passed, but importing or registering the plugin failed.

    ``detail`` has the type and the text of the plugin's own exception.
    """

    kind: Literal["plugin_import_error"] = "plugin_import_error"
    detail: _Detail


class SymlinkEscape(_Rejection):
    """The plugin's folder contains or is a symbolic link (rule 3.5).

    ``offending_path`` is the link. Its target is in no digest, so an attacker who can write there
    could change the code.
    """

    kind: Literal["symlink_escape"] = "symlink_escape"
    offending_path: _Path


class LockFileMalformed(_Rejection):
    """The lock is missing or invalid (rule 2.3). ``plugin`` is ``"<lockfile>"`` (rule 4.2).

    ``detail`` says why. Nothing is imported from a folder without a valid lock.
    """

    kind: Literal["lock_file_malformed"] = "lock_file_malformed"
    detail: _Detail


class UnhashableTree(_Rejection):
    """The plugin's folder contains an entry that cannot be pinned (rule 3.6).

    ``offending_path`` is the entry, and ``detail`` says why it has no digest.
    """

    kind: Literal["unhashable_tree"] = "unhashable_tree"
    offending_path: _Path
    detail: _Detail


class UnverifiedCode(_Rejection):
    """Code that was about to execute does not come from the verified bytes of a file (rule 6.13).

    ``offending_path`` is the file that the code claims, and ``detail`` names the difference.
    """

    kind: Literal["unverified_code"] = "unverified_code"
    offending_path: _Path
    detail: _Detail


class UntrustedLock(_Rejection):
    """Not enough signers vouch for the lock. ``plugin`` is ``"<lockfile>"``.

    ``needed`` is the threshold of the policy, 0 if no policy was read. ``counted`` names the
    signers that count. ``signatures`` has one line for each signature that was checked.
    """

    kind: Literal["untrusted_lock"] = "untrusted_lock"
    detail: _Detail
    needed: int
    counted: tuple[str, ...]
    signatures: tuple[_Detail, ...]


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
    | UnverifiedCode
    | UntrustedLock,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[PluginRejected] = TypeAdapter(PluginRejected)


def model_of(refusal: Refusal) -> PluginRejected:
    """Return the model of a plain refusal.

    Args:
        refusal: the record that the enforcement path made: ``PluginImportRefused.refusal``.

    Example:
        try:
            import plugins.greeter
        except PluginImportRefused as refused:
            print(model_of(refused.refusal).model_dump_json())
    """
    return _ADAPTER.validate_python(
        {"kind": refusal.kind, "plugin": refusal.plugin, **refusal.evidence}
    )


def exit_code_for_rejection(rejection: PluginRejected) -> int:
    """Return the exit status of the command line for a rejection: 4, for every kind (rule 4.3).

    Args:
        rejection: a model of any kind. A type checker reports a kind that is missing here.

    Example:
        loaded = load_plugins(root, lock)
        if isinstance(loaded, Err):
            sys.exit(exit_code_for_rejection(loaded.error))
    """
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
            | UntrustedLock()
        ):
            return 4
        case _:
            assert_never(rejection)
