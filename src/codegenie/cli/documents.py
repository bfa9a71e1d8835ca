"""What every command prints with ``--json``, as models: the output and its schema both come from
here, so neither can say something that the other does not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from codegenie.activation.record import State as OwnFilesState
from codegenie.files import utf8_text
from codegenie.plugins.errors import PluginRejected

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _utf8(value: object) -> object:
    """Text from the disk as text that UTF-8 can hold: pydantic takes no surrogates."""
    return utf8_text(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_utf8)]
Id = Annotated[Text, Field(description="A plugin's id, which is the name of its folder.")]
Digest = Annotated[str, Field(description="A tree digest: 64 hex digits.")]


class Document(BaseModel):
    """What all documents have in common: what is not described here is not printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExplainedFile(Document):
    """A file that differs, or that a guess points at."""

    change: Text
    path: Text
    since: Text | None = Field(description="ISO 8601, in UTC.")


class Explanation(Document):
    """What helps to act on a rejection."""

    summary: Text
    differences: Literal["known", "guess"] | None = Field(
        description="Whether files were compared, or only their times; null if neither."
    )
    files: list[ExplainedFile]
    more_files: int = Field(description="How many are not in files.")
    location: Text
    since: Text | None
    lock: Text | None
    lock_written: Text | None
    fix: Text
    review: Text | None = Field(description="The command that shows more.")
    accept: Text | None = Field(description="The command that accepts the change.")
    help: Text = Field(description="Where to read about this kind.")


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


class Lock(_OfAFolder):
    """What the lock says, and what of it is new."""

    plugins: dict[Id, Digest] = Field(description="All that the lock says if it is written.")
    added: list[Id]
    changed: list[Id]
    removed: list[Id]
    would_change: bool = Field(description="The lock or PLUGINS.sha256 was not up to date.")
    written: bool


class VerifiedPlugin(Document):
    plugin: Id
    version: Text
    files: int = Field(description="How many files the digest is of.")
    digest: Digest


class Verify(_OfAFolder):
    """The plugins that match the lock. With --watch, one document per line for each time."""

    verified: list[VerifiedPlugin]


class VerifyBytecode(Verify):
    """With --bytecode."""

    unused_bytecode: dict[Id, Text] = Field(description="Why a pack would not be used.")


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
    """Every plugin that is there or in the lock."""

    rejections: list[PluginRejected] = Field(
        description="Every rejection. The command ends with status 4 only if the lock is malformed."
    )
    plugins: list[ListedPlugin]


class PluginDifferences(Document):
    known: bool = Field(description="false: it differs, and which files do cannot be told.")
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


class Compile(_OfAFolder):
    """The packs of bytecode that were written."""

    folder: Text | None = Field(description="Where the packs of this interpreter are.")
    compiled: list[CompiledPlugin]


class Load(_OfAFolder):
    """What an application gets."""

    loaded: list[Id] = Field(description="In the order of loading. Empty on a rejection.")
    registered: list[Text] = Field(description="The names of the plugins that were registered.")
    total_walked: int | None = Field(description="Manifests that were found; null on a rejection.")


class MergeLock(Document):
    """What a merge of two locks, or of two sidecars, has come to. Status 1 unless merged."""

    path: Text = Field(description="What the file is called in the repository.")
    merged: bool
    conflicts: dict[Id, Text] = Field(description="Why a plugin could not be merged.")
    problem: Text | None = Field(description="Why the files could not be compared at all.")


# --- codegenie guard ----------------------------------------------------------------------------

State = Literal["enforcing", "auditing", "not_pinned", "refusing", "not_running", "not_installed"]
Standing = Literal["ours", "edited", "foreign"]

# As the interpreter that was asked says it: its codegenie may be of another version.
_Guard = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "What guard.status() says there. Only active is always there.",
            "required": ["active"],
            "properties": {
                "active": {"type": "boolean"},
                "pinned": {"type": "boolean"},
                "strict": {"type": "boolean"},
                "root": {"type": ["string", "null"]},
                "lock": {"type": ["string", "null"]},
                "log": {"type": ["string", "null"]},
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
    folder: Text = Field(description="Where its environment keeps modules.")


class _WithVerdict(_OfAnInterpreter):
    state: State
    by: Text | None = Field(description="The activation file that was run.")
    reason: Text | None


class GuardInstall(_WithVerdict):
    """What was written, and what a start finds now. Status 1 unless state is active."""

    settings: dict[Text, Text]
    added: list[Text]
    replaced: list[Text]
    removed: list[Text]
    unchanged: list[Text]
    undo: Text = Field(description="The command that undoes it.")


class GuardUninstall(_OfAnInterpreter):
    """What was removed."""

    removed: list[Text]
    kept: dict[Text, Standing] = Field(description="What was left, and why. Status 1 if any.")


class OwnFiles(Document):
    """The files of the codegenie there, compared with the RECORD that it was installed with."""

    state: OwnFilesState
    record: Text | None
    reason: Text | None
    changed: list[Text]
    missing: list[Text]
    added: list[Text]


class GuardStatus(_WithVerdict):
    """What a start of the interpreter finds."""

    guard: _Guard
    files: dict[Text, Standing]
    sitecustomize: Text | None
    own_files: OwnFiles


class Failure(BaseModel):
    """What was asked for could not be done; status 1. Every other field is text that helps."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Text]

    error: Text


DOCUMENTS: dict[str, Any] = {
    "plugins-new": New | Failure,
    "plugins-lock": Lock,
    "plugins-verify": Verify | VerifyBytecode | Failure,
    "plugins-list": List,
    "plugins-diff": Diff,
    "plugins-compile": Compile | Failure,
    "plugins-load": Load | Failure,
    "plugins-merge-lock": MergeLock | Failure,
    "guard-install": GuardInstall | Failure,
    "guard-uninstall": GuardUninstall | Failure,
    "guard-status": GuardStatus,
}
"""By command: what it prints on standard output with ``--json``, unless the usage was wrong."""


class _AsPrinted(GenerateJsonSchema):
    """A field that has a default is printed all the same, so it is always there."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True


def schema(command: str) -> dict[str, Any]:
    """The JSON Schema of a command's document."""
    made = TypeAdapter(DOCUMENTS[command]).json_schema(
        mode="serialization", schema_generator=_AsPrinted
    )
    title = f"codegenie {command.replace('-', ' ', 1)} --json"
    return {**made, "$schema": DIALECT, "title": title}
