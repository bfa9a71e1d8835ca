"""The only reader of JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from _json import make_scanner
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegenie.parsers import safe_json
from codegenie.result import Ok

MAX_BYTES = 1024 * 1024


def load(path: Path, data: bytes, *, max_depth: int = 4) -> tuple[str, object]:
    """Return the result of ``load`` for these bytes: ``("ok", value)`` or ``("refused",
    detail)``."""
    path.write_bytes(data)
    result = safe_json.load(path, max_bytes=MAX_BYTES, max_depth=max_depth)
    if isinstance(result, Ok):
        return ("ok", result.value)
    assert result.error.path == str(path)
    assert str(result.error) == f"{path}: {result.error.detail}"
    return ("refused", result.error.detail)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "document",
    [
        "null",
        "true",
        "-1.5e3",
        '"text"',
        "[]",
        "{}",
        ' { "a" : [ 1 , { "b" : null } ] } \n',
        '{"é": "\U0001f600", "\\u00e8": "\\n"}',
        '{"a": {"x": 1}, "b": {"x": 1}}',
        '["a", "a"]',
    ],
)
def test_what_is_json_is_read(tmp_path: Path, document: str) -> None:
    assert load(tmp_path / "f", document.encode()) == ("ok", json.loads(document))


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(b'{"a": 1, "a": 2}', "holds the key 'a' twice", id="duplicate-key"),
        pytest.param(b'{"a": 1, "a": 1}', "holds the key 'a' twice", id="duplicate-equal-value"),
        pytest.param(
            b'[{"x": {"b": 1, "c": 2, "b": 3}}]', "holds the key 'b' twice", id="duplicate-below"
        ),
        pytest.param(
            b'{"a": 1, "\\u0061": 2}', "holds the key 'a' twice", id="duplicate-by-an-escape"
        ),
        pytest.param(b'{"": 1, "": 2}', "holds the key '' twice", id="duplicate-empty-key"),
        pytest.param(
            b"\xef\xbb\xbf{}",
            "starts with a byte order mark; save it as UTF-8 without one",
            id="byte-order-mark",
        ),
        pytest.param(b"\xff\xfe{\0}\0", "is not UTF-8 (byte 0)", id="utf-16"),
        pytest.param(b'{"a": "\xff"}', "is not UTF-8 (byte 7)", id="not-utf-8"),
        pytest.param(b'"\xed\xb3\xbf"', "is not UTF-8 (byte 1)", id="encoded-surrogate"),
        pytest.param(b'"\xc0\xaf"', "is not UTF-8 (byte 1)", id="overlong"),
        pytest.param(b"NaN", "holds NaN, which is not JSON", id="nan"),
        pytest.param(b'{"a": [NaN]}', "holds NaN, which is not JSON", id="nan-below"),
        pytest.param(b"Infinity", "holds Infinity, which is not JSON", id="infinity"),
        pytest.param(b"[-Infinity]", "holds -Infinity, which is not JSON", id="minus-infinity"),
        pytest.param(
            b"", "is not JSON: Expecting value (line 1, column 1)", id="an-empty-document"
        ),
        pytest.param(b"\n \n", "is not JSON: Expecting value (line 3, column 1)", id="only-blanks"),
        pytest.param(
            b"{}\n{}", "is not JSON: Extra data (line 2, column 1)", id="multiple-documents"
        ),
        pytest.param(
            b'{"a": 1,}',
            "is not JSON: ",
            id="trailing-comma",
        ),
        pytest.param(b"{'a': 1}", "is not JSON: ", id="single-quotes"),
        pytest.param(b'{"a": 1 // why\n}', "is not JSON: ", id="comment"),
        pytest.param(b'"a\nb"', "is not JSON: Invalid control character at", id="bare-newline"),
        pytest.param(b'{"a": 1', "is not JSON: ", id="cut-off"),
        pytest.param(b"]" * 9 + b"[" * 9, "is not JSON: ", id="closed-before-opened"),
        pytest.param(b'"\\', "is not JSON: ", id="cut-off-in-an-escape"),
        pytest.param(b"\0", "is not JSON: ", id="null-byte"),
    ],
)
def test_what_is_not_is_refused_with_its_reason(tmp_path: Path, data: bytes, detail: str) -> None:
    outcome, found = load(tmp_path / "f", data)
    assert outcome == "refused"
    assert isinstance(found, str)
    assert found.startswith(detail), found


def test_a_number_too_long_to_convert_is_an_answer(tmp_path: Path) -> None:
    """Python refuses to convert very long numbers, with an error of its own."""
    outcome, detail = load(tmp_path / "f", b"9" * 100_000)
    assert outcome == "refused"
    assert "4300" in str(detail)


@pytest.mark.parametrize("cap", [0, 1, 2, 7])
@pytest.mark.parametrize("opening", ["[", '{"k":'])
def test_depth_is_capped_exactly(tmp_path: Path, cap: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def document(depth: int) -> bytes:
        return (opening * depth + "1" + closing * depth).encode()

    assert load(tmp_path / "f", document(cap), max_depth=cap)[0] == "ok"
    assert load(tmp_path / "f", document(cap + 1), max_depth=cap) == (
        "refused",
        f"is nested more than {cap} deep",
    )


@pytest.mark.parametrize("cap", [1, 2, 7])
def test_empty_collections_count_as_a_level(tmp_path: Path, cap: int) -> None:
    assert load(tmp_path / "f", nested(cap), max_depth=cap)[0] == "ok"
    assert load(tmp_path / "f", nested(cap + 1), max_depth=cap)[0] == "refused"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param('["[[[[{{{{"]', id="in-a-value"),
        pytest.param('{"[[[[{{{{": 1}', id="in-a-key"),
        pytest.param('["\\"[[[[{{{{"]', id="after-an-escaped-quote"),
        pytest.param('["\\\\", "[[[[{{{{"]', id="after-an-escaped-backslash"),
        pytest.param('["]]]]", "[[[["]', id="closed-in-a-string"),
        pytest.param("[[], [], [], [], {}, {}]", id="beside-each-other"),
    ],
)
def test_brackets_that_do_not_nest_are_not_counted(tmp_path: Path, document: str) -> None:
    expected = json.loads(document)
    assert load(tmp_path / "f", document.encode(), max_depth=2) == ("ok", expected)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'["]", [[1]]]', id="closed-in-a-string-first"),
        pytest.param(b'["\\\\", [[1]]]', id="after-an-escaped-backslash"),
        pytest.param(b'["\\"", [[1]]]', id="after-an-escaped-quote"),
        pytest.param(b'[[], "]]]]", [[1]]]', id="after-an-empty-one"),
    ],
)
def test_strings_do_not_hide_nesting(tmp_path: Path, document: bytes) -> None:
    assert load(tmp_path / "f", document, max_depth=2) == (
        "refused",
        "is nested more than 2 deep",
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 100_000, id="never-closed"),
        pytest.param(nested(100_000), id="lists"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects"),
        pytest.param(b'[{"a":' * 50_000, id="both"),
    ],
)
def test_very_deep_nesting_does_not_reach_the_parser_that_recurses(
    tmp_path: Path, data: bytes
) -> None:
    assert len(data) <= MAX_BYTES
    assert load(tmp_path / "f", data) == ("refused", "is nested more than 4 deep")


@pytest.mark.parametrize(("size", "accepted"), [(99, True), (100, True), (101, False)])
def test_the_size_is_capped(tmp_path: Path, size: int, accepted: bool) -> None:
    path = tmp_path / "f"
    path.write_bytes(b'"' + b"a" * (size - 2) + b'"')
    result = safe_json.load(path, max_bytes=100, max_depth=1)
    if accepted:
        assert result == Ok("a" * (size - 2))
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
    (tmp_path / "target").write_text("{}")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    refused = safe_json.load(tmp_path / kind, max_bytes=10, max_depth=1).unwrap_err()
    assert (refused.path, refused.detail) == (str(tmp_path / kind), detail)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("[1]")
    assert safe_json.load(str(tmp_path / "f"), max_bytes=10, max_depth=1) == Ok([1])


class Recorder:
    """Record the names of the attributes that are read."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.names.append(name)
        return getattr(safe_json._Rules, name, None)


def test_rules_have_every_attribute_that_the_scanner_reads() -> None:
    recorder = Recorder()
    make_scanner(recorder)  # type: ignore[arg-type]
    missing = [name for name in recorder.names if not hasattr(safe_json._Rules, name)]
    assert missing == []


@pytest.mark.parametrize("replacement", [None, ModuleType("_json")], ids=["module", "function"])
def test_a_missing_internal_is_named(
    monkeypatch: pytest.MonkeyPatch, replacement: ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "_json", replacement)
    with pytest.raises(ImportError, match=r"lacks _json\.encode_basestring_ascii"):
        safe_json.quote("text")


# --- the layout that is read without the scanner --------------------------------------------------

MEMBERS = st.recursive(
    st.one_of(st.text(max_size=5), st.integers(-3, 10**20)),
    lambda values: st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), MEMBERS, max_size=4), st.booleans())
def test_layout_of_own_files_is_read_as_by_the_scanner(value: object, as_ascii: bool) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=as_ascii) + "\n"
    assert safe_json._read_members(text) in (None, value)


LINES = st.lists(
    st.sampled_from(
        """{|}|},|"a": {|"a": "b"|"a": "b",|"c": 1|"c": 01,|"c": -1||[|"a" : "b"|"a": "b" ,
        |"a": "b\\"|"a"b": "c"|"d": 2,|"e": {},|"f": "\t"|"g": "h",,|\ufeff{|"i": \u0663|"j": "k"\r
        |"l": {},""".replace("\n        ", "").split("|")
    ),
    max_size=8,
)


@given(LINES, st.booleans())
def test_what_is_read_without_the_scanner_is_json(lines: list[str], closed: bool) -> None:
    text = "\n".join(["{", *lines, "}", ""] if closed else lines)
    found = safe_json._read_members(text)
    if found is not None:
        assert found == json.loads(text)
        keys = re.findall(r'^ *"([^"]*)":', text, re.MULTILINE)
        assert len(keys) == sum(1 for _ in _all_keys(found)), "a duplicate key"


def _all_keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _all_keys(inner)


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "a": "b"\n}\n',
        '{\n  "a": {\n    "b": "1 2",\n    "c": 3\n  },\n  "d": 0\n}\n',
        "{\n}\n",
    ],
)
def test_own_files_need_no_scanner(text: str) -> None:
    assert safe_json._read_members(text) == json.loads(text)
