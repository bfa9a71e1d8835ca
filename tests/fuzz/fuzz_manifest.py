"""``plugin.yaml``: any bytes are a manifest, exactly as the contract says, or refused in words."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Set
from typing import Any

import yaml

from codegenie.parsers import safe_yaml
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals import kinds
from codegenie.result import Ok

TOKENS = [
    *(b"name: alpha\n", b"version: '1'\n", b"scope:\n", b"  task_class: ", b"  languages: "),
    *(b"  build_systems: ", b"extends: ", b"precedence: ", b"contributes: ", b"requirements: "),
    *(b"adapters", b"tccm", b"subgraph", b"skills", b"recipes", b"probes", b"external_tools"),
    *(b"optional", b"'*'", b"{", b"}", b"[", b"]", b", ", b": ", b"- ", b"? ", b"\n", b"\n  "),
    *(b"&x ", b"*x", b"<<: ", b"!!binary YQ==", b"!!set ", b"!!omap ", b"!!pairs ", b"!!str "),
    *(b"!!int ", b"!!float ", b"!!bool ", b"!!null ", b"!!timestamp ", b"!!python/name:os.system"),
    *(b"|\n  ", b">-\n  ", b"---\n", b"...\n", b"%YAML 1.1\n", b"%TAG ! tag:x,2000:\n", b"# "),
    *(
        b"0x10",
        b"1_0",
        b"1:30",
        b".nan",
        b"~",
        b"yes",
        b"y",
        b"012",
        b"1e3",
        b"0o14",
        b"\r",
        b"2001-01-01",
        b"\xef\xbb\xbf",
        b"\xc2\x85",
    ),
    *(b'"\\x41"', b'"\\U0001F600"', b'"\\n"', b"\xe2\x80\xa8", b"\0", b"\xff"),
]

FOLDER = "alpha"
ID = re.compile(r"[a-z][a-z0-9_-]{0,127}\Z")
MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_PRECEDENCE = 1_000_000
CONTRIBUTES = {"adapters", "tccm", "subgraph", "skills", "recipes", "probes"}
SCOPE = {"task_class", "languages", "build_systems"}
REQUIREMENTS = {"external_tools", "optional"}


def check(data: bytes) -> None:
    value = check_yaml(data)
    result = PluginManifest.from_bytes(data, folder=FOLDER)
    if isinstance(result, Ok):
        assert conforms(value)
        assert len(data) <= MAX_BYTES
        check_manifest(result.value, value)
    else:
        assert not conforms(value) or len(data) > MAX_BYTES
        refused = kinds.SCHEMA_VIOLATION.refusal("/plugins", FOLDER, detail=result.error.detail)
        assert result.error.detail
        assert refused.summary().isprintable()
        assert refused.model().kind == "schema_violation"


# --- YAML ---------------------------------------------------------------------------------------


def check_yaml(data: bytes) -> Any:
    """Return the value that ``safe_yaml`` accepts, and check it against PyYAML; ``None`` if it
    refuses."""
    value, problem = None, ""
    try:
        value = safe_yaml.parse(data, max_depth=MAX_DEPTH)
    except ValueError as error:
        problem = str(error) or "no reason"
    if problem:
        assert problem != "no reason"
        assert "\n" not in problem
        return None
    text = data.decode("utf-8")
    # By its text: a not-a-number is not equal to itself, and 1 must not pass for True.
    assert repr(value) == repr(yaml.safe_load(text))
    node = yaml.compose(text, yaml.SafeLoader)
    if node is not None:
        check_node(node, 0, set())
    check_plain(value)
    return value


def check_node(node: yaml.Node, depth: int, seen: set[int]) -> None:
    """Not nested too deep, no key twice, and no node in two places, as an alias puts it."""
    assert id(node) not in seen
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return
    assert depth < MAX_DEPTH
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        assert len(set(keys)) == len(node.value)
    below = [child for _, child in node.value] if isinstance(node, yaml.MappingNode) else node.value
    for child in below:
        check_node(child, depth + 1, seen)


def check_plain(value: object) -> None:
    """Data, and nothing that could run."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        for below in value.values():
            check_plain(below)
    elif isinstance(value, list | set | tuple):
        for below in value:
            check_plain(below)
    else:
        plain = {str, bytes, bool, int, float, datetime.date, datetime.datetime, type(None)}
        assert type(value) in plain


# --- the manifest -------------------------------------------------------------------------------


def conforms(value: Any) -> bool:
    """Return True if a value is a manifest, by section 2 of the contract."""
    return (
        keys_of(
            value, required={"name", "version", "scope"}, allowed=set(PluginManifest.model_fields)
        )
        and value["name"] == FOLDER
        and text(value["version"])
        and keys_of(value["scope"], required=SCOPE, allowed=SCOPE)
        and all(several(part) and part != [] for part in value["scope"].values())
        and type(value.get("extends", [])) is list
        and all(type(p) is str and ID.match(p) is not None for p in value.get("extends", []))
        and type(value.get("precedence", 0)) is int
        and abs(value.get("precedence", 0)) <= MAX_PRECEDENCE
        and keys_of(value.get("contributes", {}), allowed=CONTRIBUTES)
        and keys_of(value.get("requirements", {}), allowed=REQUIREMENTS)
        and all(several(part) for part in value.get("requirements", {}).values())
    )


def keys_of(value: Any, *, allowed: Set[str], required: Set[str] = frozenset()) -> bool:
    return isinstance(value, dict) and required <= value.keys() <= allowed


def text(value: object) -> bool:
    return type(value) is str and value != "" and value.isprintable()


def several(value: object) -> bool:
    """Return True for a string or a list of strings."""
    return text(value) or (type(value) is list and all(map(text, value)))


def check_manifest(manifest: PluginManifest, value: dict[str, Any]) -> None:
    """Nothing is lost or made up, and writing it down again gives the same."""
    given = manifest.model_dump(exclude_unset=True)
    for section, part in value.items():
        if isinstance(part, dict):
            for key, below in part.items():
                same(given[section][key], below)
        else:
            same(given[section], part)
    # Its contributions may be any plain data, because only the application interprets them.
    # As JSON, which quotes every text: PyYAML writes some unquoted that YAML 1.2 reads as numbers.
    written = json.dumps(manifest.model_dump(exclude={"contributes"}), ensure_ascii=False)
    again = PluginManifest.from_bytes(written.encode(), folder=FOLDER).unwrap()
    assert again == manifest.model_copy(update={"contributes": again.contributes})


def same(read: object, given: object) -> None:
    if isinstance(read, tuple):
        assert list(read) == (given if isinstance(given, list) else [given])
    else:
        assert repr(read) == repr(given)
