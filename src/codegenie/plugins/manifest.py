"""Read and validate ``plugin.yaml``, the manifest of a plugin."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StrictInt,
    StringConstraints,
    ValidationError,
)

from codegenie.files import Unreadable, read_regular
from codegenie.integrity.reading import read_verified
from codegenie.integrity.verification import MANIFEST_NAME
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.parsers import safe_yaml
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.text import shortened
from codegenie.types.identifiers import PluginId
from codegenie.types.parsers import parse_plugin_id

MAX_MANIFEST_BYTES = 64 * 1024
MAX_MANIFEST_DEPTH = 8
MAX_PRECEDENCE = 1_000_000
MAX_LISTED_PROBLEMS = 10


def _plugin_id(value: str) -> str:
    parsed = parse_plugin_id(value)
    if isinstance(parsed, Err):
        raise ValueError(str(parsed.error))
    return parsed.value


def _list(value: Any) -> Any:
    # pydantic accepts a set as a list, in an order that differs between processes.
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else _list(value)


def _visible(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a control character")
    return value


_Text = Annotated[str, StringConstraints(min_length=1, strict=True), AfterValidator(_visible)]
_Id = Annotated[PluginId, Strict(), AfterValidator(_plugin_id)]
_Several = Annotated[tuple[_Text, ...], BeforeValidator(_as_list)]
_OneOrMore = Annotated[_Several, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Section):
    """The tasks that the plugin is for. ``("*",)`` matches any."""

    task_class: _OneOrMore
    languages: _OneOrMore
    build_systems: _OneOrMore


class Contributes(_Section):
    """The plugin's contributions, by kind. Only the application interprets the values."""

    adapters: Any = None
    tccm: Any = None
    subgraph: Any = None
    skills: Any = None
    recipes: Any = None
    probes: Any = None


class Requirements(_Section):
    """Tools that the plugin needs outside its folder."""

    external_tools: _Several = ()
    optional: _Several = ()


class PluginManifest(_Section):
    """A validated ``plugin.yaml``.

    Text must be quoted if YAML would read it as another type: an unquoted ``1.10`` is the number
    1.1, which is refused.
    """

    name: _Id
    version: _Text
    scope: Scope
    extends: Annotated[tuple[_Id, ...], BeforeValidator(_list)] = ()
    precedence: Annotated[StrictInt, Field(ge=-MAX_PRECEDENCE, le=MAX_PRECEDENCE)] = 50
    contributes: Contributes = Contributes()
    requirements: Requirements = Requirements()

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Result[PluginManifest, Unreadable]:
        """Read and validate a ``plugin.yaml``. Its ``name`` must be the name of its folder.

        Does not compare the file with a lock. ``read_manifest`` parses the bytes that were hashed.

        Args:
            path: the file. A link is not followed, and the size is limited before reading.

        Returns:
            The manifest; or ``Unreadable`` with the path and the reason: no such file, a link,
            too large, not the expected YAML, or fields that the schema does not allow.

        Example:
            match PluginManifest.from_yaml("plugins/greeter/plugin.yaml"):
                case Ok(manifest):
                    print(manifest.version)
                case Err(problem):
                    print(problem)
        """
        name = os.fspath(path)
        data = read_regular(name, max_bytes=MAX_MANIFEST_BYTES)
        if isinstance(data, Err):
            return data
        folder = os.path.basename(os.path.dirname(os.path.abspath(name)))
        return cls.from_bytes(data.value, folder=folder, path=name)

    @classmethod
    def from_bytes(
        cls, data: bytes, *, folder: str, path: str = "plugin.yaml"
    ) -> Result[PluginManifest, Unreadable]:
        """Validate the bytes of a ``plugin.yaml`` that is in ``folder``."""
        if len(data) > MAX_MANIFEST_BYTES:
            return Err(Unreadable(path, f"is larger than {MAX_MANIFEST_BYTES} bytes"))
        ambiguity = ""
        try:
            value = safe_yaml.parse(data, max_depth=MAX_MANIFEST_DEPTH)
        except safe_yaml.Ambiguous as error:
            # If the field must be text, the model's error names the field, which is more helpful.
            value, ambiguity = error.value, str(error)
        except ValueError as error:
            return Err(Unreadable(path, str(error)))
        try:
            manifest = cls.model_validate(value)
        except ValidationError as error:
            return Err(Unreadable(path, _sentence(error)))
        if ambiguity:
            return Err(Unreadable(path, ambiguity))
        if manifest.name != folder:
            detail = f"names the plugin {manifest.name!r}, but its folder is {folder!r}"
            return Err(Unreadable(path, detail))
        return Ok(manifest)


def read_manifest(found: VerifiedTree) -> Result[PluginManifest, Refusal]:
    """Return the manifest of a walked tree, parsed from the bytes that were hashed.

    Threat: crafted bytes attack the YAML parser, which is large. Rule: parse only bytes that the
    digest covers.
    """
    if found.files[MANIFEST_NAME][1] > MAX_MANIFEST_BYTES:
        detail = f"is larger than {MAX_MANIFEST_BYTES} bytes"
        return Err(kinds.SCHEMA_VIOLATION.refusal(found.root, found.plugin, detail=detail))
    data = read_verified(found, MANIFEST_NAME)
    if isinstance(data, Err):
        return data
    manifest = PluginManifest.from_bytes(data.value, folder=found.plugin)
    if isinstance(manifest, Err):
        return Err(
            kinds.SCHEMA_VIOLATION.refusal(found.root, found.plugin, detail=manifest.error.detail)
        )
    return manifest


def _sentence(error: ValidationError) -> str:
    """Return all errors in one sentence, each with its field."""
    problems = [
        f"{shortened('.'.join(map(str, item['loc']))) or 'the document'}: "
        f"{_PLAIN.get(item['type'], item['msg'])}"
        for item in error.errors(include_url=False)[:MAX_LISTED_PROBLEMS]
    ]
    more = error.error_count() - len(problems)
    return "is not valid: " + "; ".join(problems) + (f"; and {more} more" if more else "")


_PLAIN: dict[str, str] = {
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    "string_type": "must be text (put it in quotes)",
    "model_type": "must be a mapping",
}
