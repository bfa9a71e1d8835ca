"""The grammar of ids and digests: what section 2 of docs/reference/rules.md accepts."""

from __future__ import annotations

import re
import unicodedata

import pytest

from codegenie.types.parsers import (
    InvalidIdentifier,
    folded,
    parse_blob_digest,
    parse_new_plugin_id,
    parse_plugin_id,
)

# The contract's own words. ``\Z`` where it says ``$``, which in ``re`` lets a line feed pass.
ID = re.compile(r"[a-z][a-z0-9_-]{0,127}\Z")
DIGEST = re.compile(r"[0-9a-f]{64}\Z")

ASSIGNED = 0x20000
"""Beyond this there are ideographs only: no letter or digit that looks like an ASCII one."""

HEX = "0123456789abcdef" * 4

NARROW_IDS = [
    "a",
    "z",
    "a" * 127,
    "a" * 128,
    "a0",
    "a-",
    "a_",
    "a--b",
    "class",
    "api",
    "vulnerability-remediation--node--npm",
    "abcdefghijklmnopqrstuvwxyz0123456789_-",
]

WIDE_IDS = [
    "a" * 129,
    "a" * 255,
    "é" * 127,
    "0a",
    "-a",
    "_a",
    "SuperSay",
    "ha-hacs.v2",
    "tool.py",
    "_fast.cpython-313-x86_64-linux-gnu.so",
    "__init__.py",
    "...",
    ".hidden",
    ".gitignore",
    "__pycache__x",
    "plugins.py",
    "PLUGINS",
    "a b",
    'a "b" $(c)',
    "<lockfile>",
    "\u0430lpha",
    "a\u0301",
    "a\u200b",
    "\xa0",
    "\U0001f600",
]

BAD_IDS: list[tuple[str, object]] = [
    ("empty", ""),
    ("too-long", "a" * 256),
    ("too-many-bytes", "é" * 128),
    ("far-too-long", "a" * 100_000),
    ("slash", "a/b"),
    ("backslash", "a\\b"),
    ("folder-itself", "."),
    ("parent-folder", ".."),
    ("leading-space", " a"),
    ("trailing-space", "a "),
    ("trailing-newline", "a\n"),
    ("trailing-carriage-return", "a\r"),
    ("only-a-newline", "\n"),
    ("null", "a\0"),
    ("escape", "a\x1b[2J"),
    ("delete", "a\x7f"),
    ("c1-control", "a\x9f"),
    ("bytecode-folder", "__pycache__"),
    ("git", ".git"),
    ("lock", "PLUGINS.lock"),
    ("packs", "PLUGINS.bytecode"),
    ("guards-own", "PLUGINS."),
    ("surrogate", "a\udcff"),
    ("none", None),
    ("number", 1),
    ("bytes", b"alpha"),
    ("list-of-letters", ["a"]),
    ("tuple", ("a", "b")),
    ("set", {"a"}),
]

BAD_DIGESTS: list[tuple[str, object]] = [
    ("empty", ""),
    ("one", "a"),
    ("one-short", HEX[:-1]),
    ("one-long", HEX + "0"),
    ("twice", HEX * 2),
    ("upper-case", HEX.upper()),
    ("one-upper-case", "A" + HEX[1:]),
    ("not-hex", "g" + HEX[1:]),
    ("prefixed", "0x" + HEX[2:]),
    ("named", "sha256:" + HEX[7:]),
    ("trailing-newline", HEX + "\n"),
    ("newline-in-place-of-a-digit", HEX[:-1] + "\n"),
    ("space-in-place-of-a-digit", HEX[:-1] + " "),
    ("full-width-digit", HEX[:-1] + "\uff11"),
    ("arabic-digit", HEX[:-1] + "\u0661"),
    ("cyrillic-a", HEX[:-1] + "\u0430"),
    ("hyphen", HEX[:-1] + "-"),
    ("none", None),
    ("number", int("1" * 64)),
    ("bytes", HEX.encode()),
    ("list-of-digits", list(HEX)),
    ("tuple-of-digits", tuple(HEX)),
]


@pytest.mark.parametrize("raw", [*NARROW_IDS, *WIDE_IDS])
def test_an_id_is_handed_back_as_it_is(raw: str) -> None:
    assert parse_plugin_id(raw).unwrap() == raw


@pytest.mark.parametrize("raw", [*NARROW_IDS, *WIDE_IDS])
def test_a_new_plugin_has_a_narrow_id(raw: str) -> None:
    assert parse_new_plugin_id(raw).is_ok() is (raw in NARROW_IDS) is (ID.match(raw) is not None)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Tool.py", "tool.py"), ("\xe9", "e\u0301"), ("ss", "\xdf"), ("\u1e96", "H\u0331")],
)
def test_names_that_fold_alike_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize("raw", [value for _, value in BAD_IDS], ids=[name for name, _ in BAD_IDS])
def test_anything_else_is_no_id(raw: object) -> None:
    error = parse_plugin_id(raw).unwrap_err()
    assert isinstance(error, InvalidIdentifier)
    assert error.value is raw
    assert error.expected.startswith("a plugin id (the name of a folder or file: at most 255 ")
    assert parse_new_plugin_id(raw).is_err()


@pytest.mark.parametrize("raw", [HEX, "0" * 64, "f" * 64])
def test_a_digest_is_handed_back_as_it_is(raw: str) -> None:
    assert DIGEST.match(raw)
    assert parse_blob_digest(raw).unwrap() == raw


@pytest.mark.parametrize(
    "raw", [value for _, value in BAD_DIGESTS], ids=[name for name, _ in BAD_DIGESTS]
)
def test_anything_else_is_no_digest(raw: object) -> None:
    assert not (isinstance(raw, str) and DIGEST.match(raw))
    error = parse_blob_digest(raw).unwrap_err()
    assert error.value is raw
    assert error.expected == "a SHA-256 digest (64 lower-case hex digits)"


@pytest.mark.parametrize("position", ["first", "later"])
def test_every_character_there_is_is_judged_as_the_contract_judges_it(position: str) -> None:
    prefix = "" if position == "first" else "a"
    accepted = {
        character
        for character in map(chr, range(ASSIGNED))
        if parse_plugin_id(prefix + character).is_ok()
    }
    refused = {c for c in map(chr, range(ASSIGNED)) if unicodedata.category(c) in ("Cc", "Cs")}
    alone = {"."} if position == "first" else set()
    assert set(map(chr, range(ASSIGNED))) - accepted == refused | set("/\\ ") | alone


def test_every_character_of_a_digest_is_judged() -> None:
    accepted = {
        character
        for character in map(chr, range(ASSIGNED))
        if parse_blob_digest(HEX[:-1] + character).is_ok()
    }
    assert accepted == set("0123456789abcdef")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("A\n\x1b[2J", r"'A\n\x1b[2J' is not a SHA-256 digest (64 lower-case hex digits)"),
        (None, "'None' is not a SHA-256 digest (64 lower-case hex digits)"),
    ],
)
def test_the_message_shows_the_value_without_its_control_characters(
    raw: object, message: str
) -> None:
    error = parse_blob_digest(raw).unwrap_err()
    assert str(error) == repr(error) == message


def test_the_message_does_not_grow_with_the_value() -> None:
    assert len(str(parse_plugin_id("A" * 10**6).unwrap_err())) < 500
