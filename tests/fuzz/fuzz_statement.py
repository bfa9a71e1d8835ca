"""Statements: any bytes are a statement that says what a JSON reader sees in it, or an error.

A pinned statement is read by ``recognize`` first. It accepts less, and reads it as the parser does.
"""

from __future__ import annotations

import json
from typing import Any

from codegenie._enforce import pinned_lock
from codegenie.trust import statement, times

SMALLEST = (
    b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:codegenie:plugins:v1", '
    b'"subject": [{"name": "PLUGINS.lock", "digest": {"sha256": "%s"}}], "predicate": '
    b'{"application": "shop", "sequence": 1, "issued": "2026-01-31T23:59:59Z"}}' % (b"0" * 64)
)

TOKENS = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\u0061", b"\xff", b"\0", SMALLEST),
    *(b'"sequence": 1', b'"sequence": true', b'"sequence": 1.0', b'"sequence": 1e9', b"-1"),
    *(b'"expires": "2027-01-31T23:59:59Z"', b'"issued": "2026-02-30T00:00:00Z"', b"null"),
    *(b'"application": "shop"', b'"PLUGINS.bytecode/cpython-313/a.index"', b'"af"', b'"sha256"'),
]


def check(data: bytes) -> None:
    recognized = pinned_lock.recognize(data)
    try:
        parsed = statement.parse(data)
    except ValueError:
        assert recognized is None
        return
    assert recognized in (None, (parsed.issued, parsed.expires, parsed.subjects))
    read = json.loads(data)
    predicate = read["predicate"]
    assert set(read) == {"_type", "subject", "predicateType", "predicate"}
    assert set(predicate) <= {"application", "sequence", "issued", "expires"}
    assert (parsed.application, parsed.sequence) == (
        predicate["application"],
        predicate["sequence"],
    )
    assert type(predicate["sequence"]) is int
    assert times.render(parsed.issued) == predicate["issued"]
    expires = None if parsed.expires is None else times.render(parsed.expires)
    assert expires == predicate.get("expires")
    assert parsed.subjects == {item["name"]: item["digest"]["sha256"] for item in read["subject"]}
    assert len(parsed.subjects) == len(read["subject"])
    assert statement.LOCK_SUBJECT in parsed.subjects
    written = statement.render(parsed)
    again = statement.parse(written)
    is_usual = written.isascii() and b"\\" not in written and parsed.sequence < 10**15
    assert not is_usual or pinned_lock.recognize(written) is not None
    assert contents(again) == contents(parsed)


def contents(parsed: statement.Statement) -> Any:
    return {name: getattr(parsed, name) for name in parsed.__slots__}
