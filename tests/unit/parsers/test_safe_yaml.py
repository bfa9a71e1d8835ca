"""The only reader of YAML: plain data, no aliases, no tags that build objects."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from codegenie.parsers import safe_yaml
from codegenie.result import Ok

MAX_BYTES = 1024 * 1024


def load(path: Path, data: bytes, *, max_depth: int = 4) -> tuple[str, object]:
    """Return the result of ``load`` for these bytes: ``("ok", value)`` or ``("refused",
    detail)``."""
    path.write_bytes(data)
    result = safe_yaml.load(path, max_bytes=MAX_BYTES, max_depth=max_depth)
    if isinstance(result, Ok):
        return ("ok", result.value)
    assert result.error.path == str(path)
    assert str(result.error) == f"{path}: {result.error.detail}"
    assert result.error.detail == " ".join(result.error.detail.split()), "more than one sentence"
    return ("refused", result.error.detail)


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("a: 1\nb: [x, 'y']\n", {"a": 1, "b": ["x", "y"]}),
        ("- a\n-  b: {c: d}\n", ["a", {"b": {"c": "d"}}]),
        ("text", "text"),
        ("'1.0'", "1.0"),
        ("1.0", 1.0),
        ("é: \U0001f600", {"é": "\U0001f600"}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("a: &anchor x\n", {"a": "x"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("", None),
        ("# only a comment\n", None),
        ("---\n", None),
        ("~", None),
        # YAML allows a byte order mark, and editors write it.
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: {x: 1}\nb: {x: 1}\n", {"a": {"x": 1}, "b": {"x": 1}}),
    ],
)
def test_plain_data_is_read(tmp_path: Path, document: str, value: object) -> None:
    assert load(tmp_path / "f", document.encode()) == ("ok", value)


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        pytest.param("a: 1\na: 2\n", "holds the key 'a' twice (line 2)", id="duplicate-key"),
        pytest.param("{a: 1, a: 1}", "holds the key 'a' twice (line 1)", id="duplicate-in-flow"),
        pytest.param(
            "x:\n  - b: 1\n    b: 2\n", "holds the key 'b' twice (line 3)", id="duplicate-below"
        ),
        pytest.param(
            'a: 1\n"\\x61": 2\n', "holds the key 'a' twice (line 2)", id="duplicate-by-an-escape"
        ),
        pytest.param("!!set {a, a}", "holds the key 'a' twice (line 1)", id="duplicate-in-a-set"),
        pytest.param("a: 1\n1: 2\n", "has a key that is no text (line 2)", id="number-as-key"),
        pytest.param("on: 1\n", "has a key that is no text (line 1)", id="boolean-as-key"),
        pytest.param("~: 1\n", "has a key that is no text (line 1)", id="null-as-key"),
        pytest.param("? [a, b]\n: 1\n", "has a key that is no text (line 1)", id="list-as-key"),
        pytest.param("a: &x 1\nb: *x\n", "uses an alias (line 2)", id="alias"),
        pytest.param("&x [*x]", "uses an alias (line 1)", id="alias-of-itself"),
        pytest.param("*x : 1", "uses an alias (line 1)", id="alias-as-key"),
        pytest.param("a: &x {b: 1}\nc:\n  <<: *x\n", "uses an alias (line 3)", id="merged-alias"),
        pytest.param("a:\n  <<: {b: 1}\n", "is not plain YAML: ", id="merge-key"),
        pytest.param("a: 1\n---\nb: 2\n", "is not plain YAML: ", id="multiple-documents"),
        pytest.param("---\n---\n", "is not plain YAML: ", id="multiple-empty-documents"),
        pytest.param("a: [1", "is not plain YAML: ", id="cut-off"),
        pytest.param("a: 'x", "is not plain YAML: ", id="cut-off-in-a-string"),
        pytest.param("\ta: 1", "is not plain YAML: ", id="tab"),
        pytest.param("a: b: c", "is not plain YAML: ", id="two-colons"),
        pytest.param("%YAML 3.0\n---\na", "is not plain YAML: ", id="future-version"),
        pytest.param("a: 2001-99-99", "month must be in 1..12", id="impossible-date"),
        pytest.param("a: \x07", "unacceptable character #x0007", id="control-character"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_reason(
    tmp_path: Path, document: str, detail: str
) -> None:
    outcome, found = load(tmp_path / "f", document.encode())
    assert outcome == "refused"
    assert isinstance(found, str)
    assert found.startswith(detail), found


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object:os.PathLike",
        "!!python/object/apply:os.system",
        "!!python/object/new:os.system",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple",
        "!local",
        "!<tag:example.org,2024:thing>",
    ],
)
@pytest.mark.parametrize("body", ["['touch witness']", "{a: 1}", "''"])
def test_a_tag_builds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str, body: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome, detail = load(tmp_path / "f", f"a: {tag} {body}".encode())
    assert outcome == "refused"
    assert "could not determine a constructor for the tag" in str(detail)
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("!!bool perhaps", id="bool"),
        pytest.param("!!int ''", id="empty-int"),
        pytest.param("!!int x", id="int"),
        pytest.param("!!float ''", id="empty-float"),
        pytest.param("!!float x", id="float"),
        pytest.param("!!timestamp x", id="timestamp"),
        pytest.param("!!binary x", id="binary"),
        pytest.param("!!map [a]", id="map-of-a-list"),
        pytest.param("!!set [a]", id="set-of-a-list"),
        pytest.param("!!omap [a]", id="ordered-map-of-text"),
        pytest.param("!!pairs [a]", id="pairs-of-text"),
        pytest.param("!!seq {}", id="list-of-a-mapping"),
        pytest.param("!!str [a]", id="text-of-a-list"),
        pytest.param("=", id="default-value-key"),
        pytest.param('"\\UFFFFFFFF"', id="escape-beyond-unicode"),
        pytest.param(":".join(["1"] * 300) + ".5", id="base-60-beyond-float"),
        pytest.param("9" * 100_000, id="number-too-long-to-convert"),
        pytest.param("0000-01-01", id="year-zero"),
        pytest.param("2001-01-01 00:00:00 +99:00", id="time-zone"),
    ],
)
@pytest.mark.parametrize("place", ["{}", "a: {}"])
def test_a_value_that_is_not_of_its_tag_is_an_answer(
    tmp_path: Path, document: str, place: str
) -> None:
    """The constructors of plain tags fail in many ways of their own; none may leave ``load``."""
    outcome, detail = load(tmp_path / "f", place.format(document).encode())
    assert outcome == "refused", detail
    assert detail


def test_an_alias_bomb_is_refused_at_its_first_alias(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    document = "\n".join(lines).encode()
    assert len(document) < 2000
    assert load(tmp_path / "f", document) == (
        "refused",
        "uses an alias (line 2); write the value out",
    )


@pytest.mark.parametrize("cap", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("opening", "leaf", "closing"),
    [("[", "1", "]"), ("{k: ", "1", "}"), ("- ", "1", ""), ("[", "", "]"), ("[", "{}", "]")],
    ids=["flow-lists", "flow-mappings", "block-lists", "empty-list", "empty-mapping"],
)
def test_depth_is_capped_exactly(
    tmp_path: Path, cap: int, opening: str, leaf: str, closing: str
) -> None:
    """A collection counts as a level whether or not it holds anything."""

    def document(depth: int) -> bytes:
        depth -= leaf == "{}"
        if depth < 0:
            return b"1"
        return (opening * depth + leaf + closing * depth).encode()

    assert load(tmp_path / "f", document(cap), max_depth=cap)[0] == "ok"
    assert load(tmp_path / "f", document(cap + 1), max_depth=cap) == (
        "refused",
        f"is nested more than {cap} deep",
    )


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("['[[[[{{{{']", ["[[[[{{{{"]),
        ("a: '[[[['\n", {"a": "[[[["}),
        ("# [[[[[\n[]", []),
        ("a: |\n  [[[[\n", {"a": "[[[[\n"}),
        ("[1, 2, 3, 4, 5]", [1, 2, 3, 4, 5]),
    ],
)
def test_brackets_that_do_not_nest_are_not_counted(
    tmp_path: Path, document: str, value: object
) -> None:
    assert load(tmp_path / "f", document.encode(), max_depth=1) == ("ok", value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 100_000, id="flow-lists-never-closed"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="flow-lists"),
        pytest.param(b"{a: " * 100_000 + b"1" + b"}" * 100_000, id="flow-mappings"),
        pytest.param(b"- " * 100_000 + b"1", id="block-lists"),
        pytest.param(b"? " * 100_000 + b"1", id="keys-of-keys"),
        pytest.param(b"[? " * 100_000, id="pairs-in-lists"),
    ],
)
def test_very_deep_nesting_is_refused_without_recursion(tmp_path: Path, data: bytes) -> None:
    assert len(data) <= MAX_BYTES
    assert load(tmp_path / "f", data) == ("refused", "is nested more than 4 deep")


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(b"a: \xff", "is not UTF-8 (byte 3)", id="latin-1"),
        pytest.param("a: 1".encode("utf-16"), "is not UTF-8 (byte 0)", id="utf-16"),
        pytest.param(b"'\xed\xb3\xbf'", "is not UTF-8 (byte 1)", id="encoded-surrogate"),
    ],
)
def test_only_utf_8_is_read(tmp_path: Path, data: bytes, detail: str) -> None:
    assert load(tmp_path / "f", data) == ("refused", detail)


@pytest.mark.parametrize(("size", "accepted"), [(99, True), (100, True), (101, False)])
def test_the_size_is_capped(tmp_path: Path, size: int, accepted: bool) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * size)
    result = safe_yaml.load(path, max_bytes=100, max_depth=1)
    if accepted:
        assert result == Ok("a" * size)
    else:
        assert result.unwrap_err().detail == "is larger than 100 bytes"


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("missing", "does not exist"),
        ("link", "is a symbolic link, not a regular file"),
        ("fifo", "is a FIFO, not a regular file"),
        ("folder", "is a folder, not a regular file"),
    ],
)
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str, detail: str) -> None:
    (tmp_path / "target").write_text("a: 1")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    refused = safe_yaml.load(tmp_path / kind, max_bytes=10, max_depth=1).unwrap_err()
    assert (refused.path, refused.detail) == (str(tmp_path / kind), detail)


@pytest.mark.parametrize("where", ["{}", "a: {}", "[{}]", "a: {{b: {}}}"])
@pytest.mark.parametrize(
    "scalar",
    [
        *("yes", "Yes", "YES", "no", "on", "On", "off", "OFF", "y", "N"),
        *("012", "-012", "+010", "0o14", "089", "0b11", "-0x1F", "0x_1", "1_000", "1__0"),
        *("1:30", "190:20:30", "1:30.5", "1e3", "1E3", "1.5e3", "1e+3", "12e03", "1_0.5", "-.5"),
        *("2001-12-14", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43"),
        *(
            "! 012",
            "!!int 012",
            "!!int '012'",
            "!!bool yes",
            '!!timestamp "2001-12-14"',
            "!!float 1:30.5",
        ),
    ],
)
def test_what_readers_differ_about_is_refused(tmp_path: Path, scalar: str, where: str) -> None:
    outcome, detail = load(tmp_path / "f", where.format(scalar).encode())
    assert outcome == "refused", detail
    assert str(detail).startswith("holds '"), detail
    assert str(detail).endswith("read as different values; put it in quotes")


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *(("true", True), ("True", True), ("TRUE", True)),
        *(("false", False), ("False", False), ("FALSE", False)),
        *(("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None)),
        *(("0", 0), ("-1", -1), ("+12", 12), ("00", 0), ("0x1F", 31), ("1.5", 1.5), (".5", 0.5)),
        *(("1.", 1.0), ("1.5e+3", 1500.0), ("010.5", 10.5), ("-.inf", -math.inf)),
        *(("1.2.3", "1.2.3"), ("1.0a", "1.0a"), ("None", "None"), ("nope", "nope"), ("e", "e")),
        *(
            ("yEs", "yEs"),
            ("1-2", "1-2"),
            ("v1_0", "v1_0"),
            ("a:b", "a:b"),
            ("http://x", "http://x"),
        ),
        *(
            ("'no'", "no"),
            ('"012"', "012"),
            ("!!str no", "no"),
            ("'1:30'", "1:30"),
        ),
        ("|\n  no\n", "no\n"),
    ],
)
def test_what_readers_agree_about_is_read(tmp_path: Path, scalar: str, value: object) -> None:
    assert load(tmp_path / "f", f"a: {scalar}".encode()) == ("ok", {"a": value})


def test_what_is_not_a_number_is_not_one_for_any_reader(tmp_path: Path) -> None:
    outcome, value = load(tmp_path / "f", b".nan")
    assert outcome == "ok"
    assert value != value


@pytest.mark.parametrize("key", ["y", "0o14", "1e3"])
def test_a_key_that_is_text_for_some_readers_only_is_refused(tmp_path: Path, key: str) -> None:
    assert load(tmp_path / "f", f"{key}: 1\n".encode())[0] == "refused"


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029", "\r", "\ufeff"])
@pytest.mark.parametrize(
    "document", ["a: 1\n# reviewed{}b: 2\n", "a: 'x{}y'\n", "a: |\n  x{}y\n", "a: 1{}"]
)
def test_what_ends_a_line_for_some_readers_is_refused(
    tmp_path: Path, document: str, character: str
) -> None:
    """Behind it, what a reviewer takes for a comment is a field."""
    outcome, detail = load(tmp_path / "f", document.format(character).encode())
    assert outcome == "refused"
    assert str(detail).startswith(f"holds U+{ord(character):04X} (line "), detail


def test_a_break_can_be_written_as_an_escape(tmp_path: Path) -> None:
    document = r'a: "\u2028\N\r"'
    assert load(tmp_path / "f", document.encode()) == ("ok", {"a": "\u2028\x85\r"})


@pytest.mark.parametrize("directive", ["%YAML 1.1", "%YAML 1.2", "%TAG ! tag:example.org:", "%X y"])
def test_a_directive_is_refused(tmp_path: Path, directive: str) -> None:
    outcome, detail = load(tmp_path / "f", f"{directive}\n---\na: 1\n".encode())
    assert (outcome, detail) == ("refused", "is not plain YAML: it holds a directive (line 1)")


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ("{a :b}", {"a :b": None}),
        ("[a :b]", ["a :b"]),
        ("[:b]", None),
        ("[?b]", None),
        ("{x: [:b]}", None),
        ('{"a":b}', {"a": "b"}),
        ('{"a" :1}', {"a": 1}),
        ("{[a]: b}", None),
        ("{a: b}", {"a": "b"}),
        ("{a: }", {"a": None}),
        ("{a:b}", {"a:b": None}),
        ("[a?, b?c]", None),
        ("{? a : b}", {"a": "b"}),
    ],
)
def test_an_indicator_that_touches_text_is_refused(
    tmp_path: Path, document: str, value: object
) -> None:
    """Readers differ about whether it is a pair or text."""
    outcome, found = load(tmp_path / "f", document.encode())
    assert (outcome, found if value else None) == ("ok" if value else "refused", value), found


def test_no_message_repeats_a_long_value(tmp_path: Path) -> None:
    key = "k" * 10_000
    for document in (f"'{key}': 1\n'{key}': 2\n", f"{'1:' * 5000}1", f"? {key}\n: 1\n<<: 1"):
        outcome, detail = load(tmp_path / "f", document.encode())
        assert outcome == "refused"
        assert len(str(detail)) < 300
