"""Define the output of every command with ``--json``, as models.

The output and its schema both come from these models, so they cannot differ.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from codegenie.activation.record import RecordState
from codegenie.files import utf8_text
from codegenie.plugins.errors import PluginRejected

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _utf8(value: object) -> object:
    """Return text that UTF-8 can hold, because pydantic refuses surrogates."""
    return utf8_text(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_utf8)]
Id = Annotated[Text, Field(description="A plugin's id, which is the name of its folder.")]
Digest = Annotated[str, Field(description="A tree digest: 64 hex digits.")]


class Document(BaseModel):
    """The base of all documents. Fields that are not described are not printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


D = TypeVar("D")


class ExplainedFile(Document):
    """A file that differs, or that may differ as a guess."""

    change: Text
    path: Text
    since: Text | None = Field(description="ISO 8601, in UTC.")


class Explanation(Document):
    """The explanation of a rejection, with commands that help."""

    summary: Text
    differences: Literal["known", "guess"] | None = Field(
        description="known: files were compared; guess: only their times; null: neither."
    )
    files: list[ExplainedFile]
    more_files: int = Field(description="The number of files that are not listed in files.")
    location: Text
    since: Text | None
    lock: Text | None
    lock_written: Text | None
    fix: Text
    review: Text | None = Field(description="The command that shows more.")
    accept: Text | None = Field(description="The command that accepts the change.")
    sign: Text | None = Field(
        description="The command that signs the changed lock, if a policy decides about it."
    )
    help: Text = Field(description="The command that explains this kind.")


class _OfAFolder(Document):
    root: Text = Field(description="The plugin folder, absolute.")
    lock: Text = Field(description="The lock, absolute.")
    rejections: list[PluginRejected] = Field(
        description="Every rejection. If there is one, the command ends with status 4."
    )
    explanations: list[Explanation] = Field(description="One for each rejection, in that order.")


# --- codegenie plugins --------------------------------------------------------------------------


class New(Document):
    """A new plugin."""

    root: Text = Field(description="The plugin folder, absolute.")
    plugin: Id
    written: list[Text] = Field(description="The files that were written, absolute.")
    next: list[Text] = Field(description="The commands to type next.")


class _BesideAStatement(_OfAFolder):
    statement_problem: Text | None = Field(
        default=None,
        description="The reason why the statement beside the lock does not vouch for what was "
        "written; null if it does, if there is none, or if nothing was written.",
    )
    sign: Text | None = Field(
        default=None, description="The command that signs it; null without a problem."
    )


class Lock(_BesideAStatement):
    """The entries of the lock, and those that are new."""

    plugins: dict[Id, Digest] = Field(description="All entries of the lock after writing it.")
    added: list[Id]
    changed: list[Id]
    removed: list[Id]
    would_change: bool = Field(description="The lock or PLUGINS.sha256 was not up to date.")
    written: bool


class VerifiedPlugin(Document):
    plugin: Id
    version: Text | None = Field(description="From plugin.yaml; null if the plugin has none.")
    files: int = Field(description="The number of files that the digest covers.")
    digest: Digest


class Verify(_OfAFolder):
    """The plugins that match the lock. With --watch, one document per line for each time."""

    verified: list[VerifiedPlugin]


class VerifyBytecode(Verify):
    """With --bytecode."""

    unused_bytecode: dict[Text, Text] = Field(
        description="The reason why a pack would not be used, by plugin. With --trust, packs of "
        "other interpreters are checked too, by the path of their index."
    )


class ListedPlugin(Document):
    plugin: Id
    version: Text | None = Field(description="null if there is no valid manifest.")
    files: int | None
    bytes: int | None
    digest: Digest | None
    state: Text = Field(
        description="locked, drifted (locked in another state), not locked, or the kind of the "
        "rejection that keeps it from being locked."
    )


class List(_OfAFolder):
    """Every plugin that is in the folder or in the lock."""

    rejections: list[PluginRejected] = Field(
        description="Every rejection. The command ends with status 4 only if the lock is malformed."
    )
    plugins: list[ListedPlugin]


class PluginDifferences(Document):
    known: bool = Field(description="false: the plugin differs, but the files are not known.")
    changed: list[Text] = Field(description="Paths below the plugin's folder.")
    added: list[Text]
    removed: list[Text]


class Diff(_OfAFolder):
    """The plugins that differ from the lock, file by file."""

    plugins: dict[Id, PluginDifferences]


class CompiledPlugin(Document):
    plugin: Id
    modules: int
    size: int = Field(description="Bytes of its pack.")


class Compile(_BesideAStatement):
    """The packs of bytecode that were written."""

    folder: Text | None = Field(description="The folder with the packs of this interpreter.")
    compiled: list[CompiledPlugin]


class SignRejected(_OfAFolder):
    """The rejections that keep the signer from vouching for the lock."""


class Sign(_OfAFolder):
    """The statement about the lock, and the signature that was added."""

    signer: Text
    fingerprint: Text | None = Field(description="Of the key; null for a Sigstore identity.")
    application: Text
    sequence: int
    issued: Text = Field(description="ISO 8601, in UTC.")
    expires: Text | None
    statement: Text = Field(description="The statement, absolute.")
    sha256: Text = Field(description="The digest of the statement.")
    new: bool = Field(description="false: a signature was added to the present statement.")
    signature: Text = Field(description="The signature file, absolute.")
    subjects: dict[Text, Text] = Field(description="The digests of the files that it names.")
    left_out: dict[Text, Text] = Field(description="The reason why an index is not named.")
    removed: list[Text] = Field(description="Signatures of the statement that was replaced.")


class Load(_OfAFolder):
    """The plugins that were loaded and registered."""

    loaded: list[Id] = Field(description="In the order of loading. Empty on a rejection.")
    registered: list[Text] = Field(description="The names of the plugins that were registered.")
    total_walked: int | None = Field(description="Manifests that were found; null on a rejection.")


class MergeLock(Document):
    """The result of a merge of two locks, or of two file lists. Status 1 unless merged."""

    path: Text = Field(description="The name of the file in the repository.")
    merged: bool
    conflicts: dict[Id, Text] = Field(description="The reason why a plugin could not be merged.")
    problem: Text | None = Field(
        description="The reason why the files could not be compared at all."
    )


# --- codegenie trust ----------------------------------------------------------------------------


class TrustPolicy(Document):
    """The policy that was written."""

    policy: Text = Field(description="The file, absolute.")
    missing_signers: int = Field(description="It trusts nothing until so many more are added.")
    content: dict[Text, Any]


class TrustCheck(_OfAFolder):
    """The verdict of a policy on a lock."""

    policy: Text = Field(description="The policy, absolute.")
    sha256: Text = Field(description="The digest of the policy.")
    application: Text
    threshold: int
    signers: list[Text] = Field(description="The signers that count. Empty on a rejection.")
    sequence: int | None = Field(description="null on a rejection, as the next ones.")
    statement: Text | None = Field(description="The digest of the statement.")
    issued: Text | None = Field(description="ISO 8601, in UTC.")
    expires: Text | None
    days_left: int | None


class TrustExport(Document):
    """The SSH keys of a policy."""

    allowed_signers: list[Text] = Field(description="Lines of an allowed_signers file.")


# --- codegenie guard ----------------------------------------------------------------------------

GuardState = Literal[
    "enforcing", "auditing", "not_pinned", "refusing", "not_running", "not_installed"
]
FileOwner = Literal["ours", "edited", "foreign"]

# As the other interpreter reports it. Its codegenie may have another version.
_Guard = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "The result of guard.status() there. Only active is always present.",
            "required": ["active"],
            "properties": {
                "active": {"type": "boolean"},
                "pinned": {"type": "boolean"},
                "strict": {"type": "boolean"},
                "root": {"type": ["string", "null"]},
                "lock": {"type": ["string", "null"]},
                "log": {"type": ["string", "null"]},
                "folders": {"type": "array", "items": {"type": "object"}},
                "scope": {"enum": ["all", "plugin"]},
                "mode": {"enum": ["enforce", "audit"]},
                "on_refusal": {"enum": ["raise", "exit"]},
                "verified": {"type": "object", "additionalProperties": {"type": "string"}},
                "bytecode": {"type": "object", "additionalProperties": {"type": "object"}},
                "refused": {"type": "array", "items": {"type": "object"}},
            },
        }
    ),
]


class _OfAnInterpreter(Document):
    executable: Text
    version: Text
    folder: Text = Field(description="The folder for modules of its environment.")


class _WithVerdict(_OfAnInterpreter):
    state: GuardState
    by: Text | None = Field(description="The activation file that was run.")
    reason: Text | None


class PinnedTrust(Document):
    """A trust policy that the activation file pins."""

    policy: Text = Field(description="The file, absolute.")
    sha256: Text
    at: Literal["start", "install"]
    floors: dict[Text, int] = Field(description="The lowest accepted number, by root.")


class PinnedFolder(Document):
    """A guarded folder, as it is pinned."""

    root: Text
    lock: Text
    package: Text | None = Field(
        description='The package that it claims; "": top-level names; null: none.'
    )
    others: Literal["refuse", "leave"]
    names: list[Text] | None = Field(
        default=None, description="First parts of the guarded names, where they are pinned."
    )


class GuardInstall(_WithVerdict):
    """The files that were written, and the state of the next start. Status 1 unless active."""

    folders: list[PinnedFolder]
    settings: dict[Text, Text] = Field(description="Those for all folders.")
    trust: PinnedTrust | None
    added: list[Text]
    replaced: list[Text]
    removed: list[Text]
    unchanged: list[Text]
    undo: Text = Field(description="The command that undoes it.")


class NotTrusted(Document):
    """Nothing was written, because a policy does not trust a lock. Status 4."""

    error: Text
    rejections: list[PluginRejected]


class FolderTrust(Document):
    """The present verdict of the pinned policy on the lock of one folder."""

    root: Text
    trusted: bool
    signers: list[Text] = Field(description="Empty if the installation has verified them.")
    sequence: int | None = Field(description="null if the lock is not trusted, as the next ones.")
    statement: Text | None = Field(description="The digest of the statement that is beside it.")
    issued: Text | None = Field(description="ISO 8601, in UTC.")
    expires: Text | None
    days_left: int | None
    detail: Text | None = Field(description="The reason why the lock is not trusted.")


class GuardUninstall(_OfAnInterpreter):
    """The files that were removed."""

    removed: list[Text]
    kept: dict[Text, FileOwner] = Field(
        description="Files that were not removed, with the reason. Status 1 if any."
    )


class OwnFiles(Document):
    """The files of the codegenie there, compared with the RECORD that it was installed with."""

    state: RecordState
    record: Text | None
    reason: Text | None
    changed: list[Text]
    missing: list[Text]
    added: list[Text]


class FolderHealth(Document):
    """A guarded folder, as a start of the interpreter guards it."""

    root: Text | None = Field(description="null before the first import of an unpinned guard.")
    lock: Text | None
    package: Text | None
    others: Literal["refuse", "leave"]
    units: int | None = Field(description="Entries of the lock; null if it is not valid.")
    verified: int | None = Field(description="Plugins that passed; null without --verify.")
    problem: Text | None = Field(description="The reason why it is not guarded as installed.")
    packs: dict[Text, Text] | None = Field(
        description="The plugins that have a pack for the interpreter, each with why it is not "
        "used: empty if it is. null if this interpreter cannot read its packs."
    )
    rejections: list[PluginRejected]
    explanations: list[Explanation]


class GuardStatus(_WithVerdict):
    """The state of a start of the interpreter. Status 0 only if it enforces and is healthy."""

    guard: _Guard
    folders: list[FolderHealth]
    files: dict[Text, FileOwner]
    sitecustomize: Text | None
    own_files: OwnFiles
    trust: list[FolderTrust] = Field(description="Empty if no policy is pinned.")


class OfFolders(Document, Generic[D]):
    """The documents of the folders of a configuration, if no ROOT was given."""

    folders: list[D]


class Failure(BaseModel):
    """The command failed; status 1. Every other field is text that helps."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Text]

    error: Text


class Explain(Document):
    """The section of the documentation about a kind of refusal."""

    kind: Text | None
    text: Text | None
    kinds: list[Text] = Field(description="Every kind that has a section.")


DOCUMENTS: dict[str, Any] = {
    "explain": Explain,
    "plugins-new": New | Failure,
    "plugins-lock": Lock | OfFolders[Lock] | Failure,
    "plugins-verify": Verify | VerifyBytecode | OfFolders[Verify | VerifyBytecode] | Failure,
    "plugins-list": List | OfFolders[List] | Failure,
    "plugins-diff": Diff | OfFolders[Diff] | Failure,
    "plugins-compile": Compile | OfFolders[Compile] | Failure,
    "plugins-load": Load | Failure,
    "plugins-sign": Sign | SignRejected | OfFolders[Sign | SignRejected] | Failure,
    "plugins-merge-lock": MergeLock | Failure,
    "trust-init": TrustPolicy | Failure,
    "trust-add": TrustPolicy | Failure,
    "trust-revoke": TrustPolicy | Failure,
    "trust-check": TrustCheck | OfFolders[TrustCheck] | Failure,
    "trust-export": TrustExport | Failure,
    "guard-install": GuardInstall | NotTrusted | Failure,
    "guard-uninstall": GuardUninstall | Failure,
    "guard-status": GuardStatus,
}
"""The document of each command on standard output with ``--json``, except for wrong usage."""


class _AsPrinted(GenerateJsonSchema):
    """Marks all fields as required, because fields with a default are printed as well."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True


def schema(command: str) -> dict[str, Any]:
    """Return the JSON Schema of a command's document."""
    made = TypeAdapter(DOCUMENTS[command]).json_schema(
        mode="serialization", schema_generator=_AsPrinted
    )
    title = f"codegenie {command.replace('-', ' ', 1)} --json"
    return {**made, "$schema": DIALECT, "title": title}
