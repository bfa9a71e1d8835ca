"""``plugin.yaml``: every rule of section 2 of the rules (docs/reference/rules.md)."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from codegenie.plugins.manifest import PluginManifest
from codegenie.result import Ok

MINIMAL: dict[str, Any] = {
    "name": "alpha",
    "version": "1.0",
    "scope": {"task_class": "demo", "languages": "*", "build_systems": "*"},
}

FULL: dict[str, Any] = {
    **MINIMAL,
    "extends": ["base", "other-plugin"],
    "precedence": 7,
    "contributes": {
        "adapters": ["a"],
        "tccm": "tccm.yaml",
        "subgraph": {"entry": "x"},
        "skills": [],
        "recipes": None,
        "probes": ["p"],
    },
    "requirements": {"external_tools": ["npm", "git"], "optional": "docker"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the full manifest with the value at a dotted path replaced (or removed, for
    ``...``)."""
    manifest = copy.deepcopy(FULL)
    *sections, field = path.split(".")
    target = manifest
    for section in sections:
        target = target[section]
    if value is ...:
        del target[field]
    else:
        target[field] = value
    return manifest


def write(folder: Path, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "plugin.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text)
    return path


def read(tmp_path: Path, content: Any) -> PluginManifest:
    return PluginManifest.from_yaml(write(tmp_path / "alpha", content)).unwrap()


def refused(tmp_path: Path, content: Any) -> str:
    path = write(tmp_path / "alpha", content)
    unreadable = PluginManifest.from_yaml(path).unwrap_err()
    assert unreadable.path == str(path)
    assert unreadable.detail
    assert "\n" not in unreadable.detail
    return unreadable.detail


def test_the_least_a_manifest_holds(tmp_path: Path) -> None:
    manifest = read(tmp_path, MINIMAL)
    assert (manifest.name, manifest.version) == ("alpha", "1.0")
    assert manifest.scope.task_class == ("demo",)
    assert manifest.scope.languages == ("*",)
    assert manifest.scope.build_systems == ("*",)


def test_what_is_not_given_has_a_default(tmp_path: Path) -> None:
    manifest = read(tmp_path, MINIMAL)
    assert manifest.extends == ()
    assert isinstance(manifest.precedence, int)
    assert manifest.contributes.model_dump() == dict.fromkeys(
        ("adapters", "tccm", "subgraph", "skills", "recipes", "probes")
    )
    assert manifest.requirements.model_dump() == {"external_tools": (), "optional": ()}


def test_everything_a_manifest_can_hold(tmp_path: Path) -> None:
    manifest = read(tmp_path, FULL)
    assert manifest.extends == ("base", "other-plugin")
    assert manifest.precedence == 7
    assert manifest.contributes.model_dump() == FULL["contributes"]
    assert manifest.requirements.external_tools == ("npm", "git")
    assert manifest.requirements.optional == ("docker",)


@pytest.mark.parametrize("field", ["task_class", "languages", "build_systems"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [("python", ("python",)), ("*", ("*",)), (["a", "b"], ("a", "b")), (["*"], ("*",))],
)
def test_a_scope_is_a_string_or_a_list_of_strings(
    tmp_path: Path, field: str, value: Any, expected: tuple[str, ...]
) -> None:
    manifest = read(tmp_path, changed(f"scope.{field}", value))
    assert getattr(manifest.scope, field) == expected


VIOLATIONS: list[tuple[str, Any, str]] = [
    ("name", ..., "name: is required"),
    ("name", "", "is not a plugin id"),
    ("name", "a" * 256, "is not a plugin id"),
    ("name", "alpha\n", "is not a plugin id"),
    ("name", "../alpha", "is not a plugin id"),
    ("name", 1, "name: must be text (put it in quotes)"),
    ("name", None, "name: must be text (put it in quotes)"),
    ("name", ["alpha"], "name: must be text (put it in quotes)"),
    ("version", ..., "version: is required"),
    ("version", "", "version: "),
    ("version", 1.1, "version: must be text (put it in quotes)"),
    ("version", 1, "version: must be text (put it in quotes)"),
    ("version", None, "version: must be text (put it in quotes)"),
    ("version", True, "version: must be text (put it in quotes)"),
    ("version", ["1"], "version: must be text (put it in quotes)"),
    ("scope", ..., "scope: is required"),
    ("scope", None, "scope: "),
    ("scope", "*", "scope: "),
    ("scope", [], "scope: "),
    ("scope", {}, "scope.task_class: is required"),
    *((f"scope.{f}", ..., f"scope.{f}: is required") for f in MINIMAL["scope"]),
    *((f"scope.{f}", 1, f"scope.{f}: ") for f in MINIMAL["scope"]),
    *((f"scope.{f}", None, f"scope.{f}: ") for f in MINIMAL["scope"]),
    *((f"scope.{f}", "", f"scope.{f}.0: ") for f in MINIMAL["scope"]),
    *((f"scope.{f}", [], f"scope.{f}: ") for f in MINIMAL["scope"]),
    *((f"scope.{f}", ["a", 1], f"scope.{f}.1: must be text") for f in MINIMAL["scope"]),
    *((f"scope.{f}", {"a": "b"}, f"scope.{f}: ") for f in MINIMAL["scope"]),
    ("scope.other", "x", "scope.other: there is no such field"),
    ("extends", "base", "extends: "),
    ("extends", ["../base"], "extends.0: "),
    ("extends", [1], "extends.0: must be text"),
    ("extends", None, "extends: "),
    ("precedence", "50", "precedence: "),
    ("precedence", 1.5, "precedence: "),
    ("precedence", True, "precedence: "),
    ("precedence", None, "precedence: "),
    ("contributes", None, "contributes: "),
    ("contributes", [], "contributes: "),
    ("contributes.other", [], "contributes.other: there is no such field"),
    ("requirements", [], "requirements: "),
    ("requirements.external_tools", 1, "requirements.external_tools: "),
    ("requirements.optional", [1], "requirements.optional.0: must be text"),
    ("requirements.other", "x", "requirements.other: there is no such field"),
    ("other", "x", "other: there is no such field"),
    ("Name", "alpha", "Name: there is no such field"),
]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    VIOLATIONS,
    ids=[f"{n}-{field}" for n, (field, _, _) in enumerate(VIOLATIONS)],
)
def test_anything_else_is_refused_naming_the_field(
    tmp_path: Path, field: str, value: Any, problem: str
) -> None:
    detail = refused(tmp_path, changed(field, value))
    assert detail.startswith("is not valid: ")
    assert problem in detail, detail


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    detail = refused(tmp_path, {"name": "alpha", "version": 1, "other": 2})
    for problem in ("version: must be text", "scope: is required", "other: there is no such"):
        assert problem in detail


@pytest.mark.parametrize("version", ["1.10", "1", "1.0e+3", "0x10", "2024-01-01", "yes", "~", ""])
def test_a_version_that_yaml_reads_as_something_else_is_refused(
    tmp_path: Path, version: str
) -> None:
    """An unquoted 1.10 is the number 1.1: the version would silently be another one."""
    scope = "scope: {task_class: d, languages: '*', build_systems: '*'}\n"
    text = f"name: alpha\nversion: {version}\n{scope}"
    assert "version: must be text (put it in quotes)" in refused(tmp_path, text)
    quoted = f"name: alpha\nversion: '{version or 'x'}'\n{scope}"
    assert read(tmp_path, quoted).version == (version or "x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not valid: the document: must be a mapping"),
        ("# nothing\n", "is not valid: the document: must be a mapping"),
        ("alpha", "is not valid: the document: must be a mapping"),
        ("[name, alpha]", "is not valid: the document: must be a mapping"),
        ("name: alpha\nname: alpha\n", "holds the key 'name' twice (line 2)"),
        ("name: &x alpha\nversion: *x\n", "uses an alias (line 2)"),
        ("name: !!python/name:os.system\n", "is not plain YAML: "),
        ("name: alpha\n---\nname: beta\n", "is not plain YAML: "),
        ("name: [", "is not plain YAML: "),
        ("1: alpha\n", "has a key that is no text (line 1)"),
        (f"contributes: {{adapters: {'[' * 7}1{']' * 7}}}\n", "is nested more than 8 deep"),
        ("#" * (64 * 1024 + 1), "is larger than 65536 bytes"),
    ],
)
def test_what_is_no_mapping_of_plain_yaml_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert refused(tmp_path, text).startswith(problem)


def test_a_value_that_is_not_of_its_tag_is_refused_and_never_raises(tmp_path: Path) -> None:
    """A plugin in the folder must not be able to bring the tools down."""
    for value in ("!!bool perhaps", "!!int ''", "!!timestamp x", '"\\UFFFFFFFF"'):
        path = write(tmp_path / "alpha", f"name: alpha\nversion: {value}\n")
        assert PluginManifest.from_yaml(path).unwrap_err().path == str(path)


@pytest.mark.parametrize("depth", [5, 6])
def test_contributions_may_be_nested(tmp_path: Path, depth: int) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    manifest = read(tmp_path, changed("contributes.adapters", value))
    assert manifest.contributes.adapters == value


def test_the_name_must_be_the_name_of_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "beta", MINIMAL)
    unreadable = PluginManifest.from_yaml(path).unwrap_err()
    assert unreadable.path == str(path)
    assert unreadable.detail == "names the plugin 'alpha', but its folder is 'beta'"


def test_the_folder_of_a_relative_path_is_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "alpha", MINIMAL)
    expected = PluginManifest.from_yaml(path).unwrap()
    monkeypatch.chdir(tmp_path / "alpha")
    assert PluginManifest.from_yaml("plugin.yaml") == Ok(expected)
    assert PluginManifest.from_yaml("../alpha/plugin.yaml") == Ok(expected)
    (tmp_path / "alpha" / "sub").mkdir()
    assert PluginManifest.from_yaml("sub/../plugin.yaml") == Ok(expected)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "does not exist"),
        ("link", "is a symbolic link, not a regular file"),
        ("fifo", "is a FIFO, not a regular file"),
        ("folder", "is a folder, not a regular file"),
    ],
)
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str, problem: str) -> None:
    folder = tmp_path / "alpha"
    path = write(folder, MINIMAL)
    (folder / "link").symlink_to(path)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    unreadable = PluginManifest.from_yaml(folder / kind).unwrap_err()
    assert (unreadable.path, unreadable.detail) == (str(folder / kind), problem)


def test_bytes_are_read_as_the_file_is(tmp_path: Path) -> None:
    path = write(tmp_path / "alpha", FULL)
    data = path.read_bytes()
    assert PluginManifest.from_bytes(data, folder="alpha") == PluginManifest.from_yaml(path)
    refusal = PluginManifest.from_bytes(data, folder="beta").unwrap_err()
    assert (refusal.path, refusal.detail) == (
        "plugin.yaml",
        "names the plugin 'alpha', but its folder is 'beta'",
    )
    large = PluginManifest.from_bytes(b"#" * (64 * 1024 + 1), folder="alpha").unwrap_err()
    assert large.detail == "is larger than 65536 bytes"


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("", "name"),
        ("", "precedence"),
        ("scope", "languages"),
        ("contributes", "adapters"),
        ("requirements", "optional"),
    ],
)
def test_a_manifest_is_frozen(tmp_path: Path, section: str, field: str) -> None:
    manifest = read(tmp_path, FULL)
    target = getattr(manifest, section) if section else manifest
    before = getattr(target, field)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(target, field, "other")
    assert getattr(target, field) == before
    assert read(tmp_path, FULL) == manifest


def test_two_manifests_share_no_default(tmp_path: Path) -> None:
    one = read(tmp_path, MINIMAL)
    other = read(tmp_path, FULL)
    assert one.requirements.external_tools == ()
    assert other.requirements.external_tools == ("npm", "git")


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("precedence: 012", "holds '012' (line 4), which YAML 1.1 and YAML 1.2 read as different"),
        ("precedence: 1_0", "holds '1_0' (line 4)"),
        ("precedence: 1:30", "holds '1:30' (line 4)"),
        ("contributes: {probes: {when: 2001-12-14}}", "holds '2001-12-14' (line 4)"),
        ("contributes: {probes: [yes]}", "holds 'yes' (line 4)"),
        ("extends: [y]", "holds 'y' (line 4)"),
        ("requirements: {optional: [1e3]}", "holds '1e3' (line 4)"),
        ("# by ops\u2028extends: [beta]", "holds U+2028 (line 4), which ends a line for some"),
    ],
)
def test_a_manifest_means_the_same_to_every_reader(tmp_path: Path, field: str, says: str) -> None:
    scope = "scope: {task_class: d, languages: '*', build_systems: '*'}\n"
    text = f"name: alpha\nversion: '1'\n{scope}{field}\n"
    assert says in refused(tmp_path, text)


def test_a_manifest_full_of_unknown_fields_gives_a_short_message(tmp_path: Path) -> None:
    text = "".join(f"{'x' * 400}{number}: 1\n" for number in range(100))
    assert len(refused(tmp_path, text)) < 10_000


@pytest.mark.parametrize(
    ("number", "end"), [(1, "f00: there is no such field"), (30, "; and {} more")]
)
def test_some_problems_are_listed_and_the_others_counted(number: int, end: str) -> None:
    fields = "".join(f"f{field:02}: 1\n" for field in range(number))
    data = (yaml.safe_dump(MINIMAL) + fields).encode()
    detail = PluginManifest.from_bytes(data, folder="alpha").unwrap_err().detail
    listed = detail.count("there is no such field")
    assert detail.endswith(end.format(number - listed))
