"""``PLUGINS.lock``: any bytes are a lock, exactly as the contract words it, or malformed."""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import re
import unicodedata
from typing import Any

from codegenie.integrity import lock
from codegenie.parsers import safe_json
from codegenie.result import Ok
from tests.fuzz import scratch

TOKENS = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b" ", b"\n", b'"alpha"', b'"a-b_c--0"'),
    *(b'"%s"' % (b"0" * 64), b'"%s"' % (b"af" * 32), b'"%s"' % (b"A" * 64)),
    *(b"\xef\xbb\xbf", b"\xff", b"\\u0061", b"\\ud800", b"\\n", b"\0", b"NaN", b"-Infinity"),
    *(b"{\n", b"}\n", b"  },\n", b"  }\n", b'  "a": {\n', b'  "b": "%s",\n' % (b"0" * 64)),
    *(b'  "c": 1\n', b'  "d": 0,\n', b'": "', b'",\n', b"\xe2\x80\xa8", b"\xc2\xa0", b"01"),
    *(b"1e999", b"null", b"true", b"[[[", b"]]]", b'{"a":{"b":{', b'":{"', b'":["'),
]

DIGEST = re.compile(r"[0-9a-f]{64}\Z")
MAX_BYTES = 64 * 1024
MAX_DEPTH = 2


class Inadmissible(Exception):
    pass


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it is written, repeated keys and all."""


def check(data: bytes) -> None:
    guide(data)
    value = check_json(data)
    check_lock(data, value)


# --- JSON ---------------------------------------------------------------------------------------


def check_json(data: bytes) -> object:
    """Compare ``safe_json`` with the standard parser; returns the value, or ``Inadmissible``."""
    expected: object = Inadmissible
    try:
        text = data.decode("utf-8")
        if not text.startswith("\ufeff"):
            read = json.loads(text, object_pairs_hook=Pairs, parse_constant=constant)
            expected = plain(read, MAX_DEPTH)
    except (ValueError, RecursionError, Inadmissible):
        pass
    got: object = Inadmissible
    problem = ""
    try:
        got = safe_json.parse(data, max_depth=MAX_DEPTH)
    except ValueError as error:
        problem = str(error)
    assert bool(problem) is (got is Inadmissible)
    assert repr(got) == repr(expected)  # not ==, for which 1 is True and 1.0
    return expected


def constant(name: str) -> None:
    raise Inadmissible(name)


def plain(value: Any, depth: int) -> Any:
    """Return the value without ``Pairs``, if no key stands twice and it is not nested too deep."""
    if not isinstance(value, list):
        return value
    if not depth:
        raise Inadmissible("nested")
    if not isinstance(value, Pairs):
        return [plain(item, depth - 1) for item in value]
    keys = [key for key, _ in value]
    if len(set(keys)) != len(keys):
        raise Inadmissible("twice")
    return {key: plain(item, depth - 1) for key, item in value}


# --- the lock -----------------------------------------------------------------------------------


def is_id(name: str) -> bool:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    reserved = name in (".", "..", "__pycache__", ".git") or name.startswith("PLUGINS.")
    hidden = any(c in "/\\" or unicodedata.category(c) == "Cc" for c in name)
    return 0 < size <= 255 and name.strip(" ") == name and not reserved and not hidden


def fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_lock(data: bytes, value: object) -> None:
    expected = None
    if (
        len(data) <= MAX_BYTES
        and isinstance(value, dict)
        and all(is_id(plugin) for plugin in value)
        and len({fold(plugin) for plugin in value}) == len(value)
        and all(isinstance(digest, str) and DIGEST.match(digest) for digest in value.values())
    ):
        expected = value
    path = scratch.file_with("PLUGINS.lock", data)
    result = lock.read(path)
    if isinstance(result, Ok):
        assert result.value == expected
        rendered = scratch.file_with("PLUGINS.lock", lock.render(result.value))
        assert lock.read(rendered) == result
        with open(rendered, encoding="ascii") as file:
            assert file.read() == json.dumps(expected, indent=2, sort_keys=True) + "\n"
    else:
        assert expected is None
        refused = result.error
        assert (refused.kind, refused.plugin) == ("lock_file_malformed", "<lockfile>")
        assert refused.detail
        assert refused.location == path
        assert refused.summary().isprintable()
        assert refused.model().kind == "lock_file_malformed"


# --- guidance -----------------------------------------------------------------------------------


class InPython(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.parse_string = json.decoder.py_scanstring  # type: ignore[attr-defined]
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


IN_PYTHON = InPython()


def guide(data: bytes) -> None:
    """Parse with the parser that is written in Python, whatever comes of it.

    The one in C is not measured, so that without this libFuzzer could not tell an input that gets
    far into the grammar from one that does not.
    """
    try:
        IN_PYTHON.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        pass
