"""The rejections as models: section 4 of the rules (docs/reference/rules.md)."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any, assert_never

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from codegenie.plugins import errors
from codegenie.plugins.errors import (
    IntegrityMismatch,
    LockFileMalformed,
    MissingManifest,
    MissingPluginDirectory,
    PluginImportError,
    PluginRejected,
    SchemaViolation,
    SymlinkEscape,
    UnhashableTree,
    UnlockedPlugin,
    UntrustedLock,
    UnverifiedCode,
    exit_code_for_rejection,
    model_of,
)
from codegenie.refusals import kinds
from codegenie.types.identifiers import PluginId

# IdTaken from the union, so that a variant that is added is tested, too.
VARIANTS: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(PluginRejected)[0])
ADAPTER: TypeAdapter[PluginRejected] = TypeAdapter(PluginRejected)

# The contract's list: each kind, and only its own evidence.
EVIDENCE = {
    "IntegrityMismatch": {"expected", "actual"},
    "MissingManifest": set(),
    "SchemaViolation": {"detail"},
    "UnlockedPlugin": set(),
    "MissingPluginDirectory": set(),
    "PluginImportError": {"detail"},
    "SymlinkEscape": {"offending_path"},
    "LockFileMalformed": {"detail"},
    "UnhashableTree": {"offending_path", "detail"},
    "UnverifiedCode": {"offending_path", "detail"},
    "UntrustedLock": {"detail", "needed", "counted", "signatures"},
}

SAMPLES: dict[str, Any] = {
    "plugin": "alpha",
    "expected": "a" * 64,
    "actual": "b" * 64,
    "detail": "is wrong: é\n\x1b",
    "offending_path": Path("/srv/plugins/alpha/é"),
    "needed": 2,
    "counted": ("alice",),
    "signatures": ("alice.sig: counts for alice", "b.sig: is wrong\x1b"),
}


def fields(variant: type[BaseModel]) -> dict[str, Any]:
    return {name: SAMPLES[name] for name in variant.model_fields if name != "kind"}


def build(variant: type[BaseModel]) -> PluginRejected:
    return ADAPTER.validate_python(variant(**fields(variant)))


each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.__name__)


def test_the_union_holds_what_the_contract_lists() -> None:
    found = {v.__name__: v.model_fields.keys() - {"kind", "plugin"} for v in VARIANTS}
    assert found == EVIDENCE


@each_variant
def test_each_variant_is_public(variant: type[BaseModel]) -> None:
    assert getattr(errors, variant.__name__) is variant
    assert variant.__name__ in errors.__all__


@each_variant
def test_the_kind_is_the_name_in_snake_case(variant: type[BaseModel]) -> None:
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", variant.__name__).lower()
    assert build(variant).kind == snake
    assert typing.get_args(variant.model_fields["kind"].annotation) == (snake,)


@each_variant
def test_a_rejection_survives_json(variant: type[BaseModel]) -> None:
    rejection = build(variant)
    again = ADAPTER.validate_json(ADAPTER.dump_json(rejection))
    assert type(again) is variant
    assert again == rejection
    for name, value in fields(variant).items():
        assert getattr(again, name) == value
    assert json.loads(rejection.model_dump_json())["kind"] == rejection.kind


@each_variant
def test_a_rejection_is_frozen(variant: type[BaseModel]) -> None:
    rejection = build(variant)
    for name in variant.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(rejection, name, "other")
    assert rejection == build(variant)
    assert len({rejection, build(variant)}) == 1


@each_variant
def test_nothing_else_fits_into_a_rejection(variant: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="extra"):
        variant(**fields(variant), remark="x")
    foreign = SAMPLES.keys() - variant.model_fields.keys()
    for name in foreign:
        with pytest.raises(ValidationError, match="extra"):
            variant(**fields(variant), **{name: SAMPLES[name]})


@each_variant
def test_no_evidence_may_be_missing(variant: type[BaseModel]) -> None:
    for name in fields(variant):
        rest = {key: value for key, value in fields(variant).items() if key != name}
        with pytest.raises(ValidationError, match=f"(?s){name}.*required"):
            variant(**rest)


@each_variant
def test_the_kind_cannot_be_another(variant: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="kind"):
        variant(**fields(variant), kind="other")


@each_variant
def test_the_kind_decides_the_variant(variant: type[BaseModel]) -> None:
    kind = build(variant).kind
    assert type(ADAPTER.validate_python({"kind": kind, **fields(variant)})) is variant


def test_an_unknown_kind_is_no_rejection() -> None:
    with pytest.raises(ValidationError, match="other"):
        ADAPTER.validate_python({"kind": "other", "plugin": "alpha"})
    with pytest.raises(ValidationError, match="kind"):
        ADAPTER.validate_python({"plugin": "alpha"})


@each_variant
def test_every_rejection_ends_with_status_four(variant: type[BaseModel]) -> None:
    assert exit_code_for_rejection(build(variant)) == 4


def evidence(rejection: PluginRejected) -> tuple[object, ...]:
    """Read a rejection as a program does. The type checker proves that no variant is missing."""
    match rejection:
        case IntegrityMismatch(expected=expected, actual=actual):
            return (expected, actual)
        case MissingManifest() | UnlockedPlugin() | MissingPluginDirectory():
            return ()
        case SchemaViolation(detail=detail) | PluginImportError(detail=detail):
            return (detail,)
        case LockFileMalformed(detail=detail):
            return (detail,)
        case SymlinkEscape(offending_path=path):
            return (path,)
        case UnhashableTree(offending_path=path, detail=detail):
            return (path, detail)
        case UnverifiedCode(offending_path=path, detail=detail):
            return (path, detail)
        case UntrustedLock():
            return (
                rejection.detail,
                rejection.needed,
                rejection.counted,
                rejection.signatures,
            )
        case _:
            assert_never(rejection)


@each_variant
def test_a_match_over_all_variants_is_exhaustive(variant: type[BaseModel]) -> None:
    names = [name for name in fields(variant) if name != "plugin"]
    assert evidence(build(variant)) == tuple(SAMPLES[name] for name in names)


def test_the_model_of_a_record_holds_its_evidence() -> None:
    model = model_of(
        kinds.UNHASHABLE_TREE.refusal(
            "/srv", "alpha", offending_path="/srv/alpha/x", detail="is a FIFO"
        )
    )
    assert model == UnhashableTree(
        plugin=PluginId("alpha"), offending_path=Path("/srv/alpha/x"), detail="is a FIFO"
    )
    lock = model_of(kinds.lock_file_malformed("/srv/PLUGINS.lock", "is wrong"))
    assert lock == LockFileMalformed(plugin=PluginId("<lockfile>"), detail="is wrong")


@pytest.mark.parametrize("path", ["/srv/\udcff/alpha/x", "/srv/é/x", "/srv/a\nb"])
def test_a_path_is_kept_as_it_is_and_can_be_printed(path: str) -> None:
    """A root need not be UTF-8; the document that ``--json`` prints must be."""
    model = model_of(kinds.symlink_escape("/srv", "alpha", path))
    assert isinstance(model, SymlinkEscape)
    assert model.offending_path == Path(path)
    assert json.loads(model.model_dump_json())["kind"] == "symlink_escape"


def test_everything_public_is_there() -> None:
    assert errors.__all__ == sorted(errors.__all__)
    assert not [name for name in errors.__all__ if not hasattr(errors, name)]
