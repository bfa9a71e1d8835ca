"""A pinned statement that is accepted without ``trust`` means what ``trust`` reads in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegenie._enforce import pinned_lock
from codegenie._enforce.pinned_lock import PinnedLock
from codegenie.hashing import file_digest
from codegenie.integrity import lock
from codegenie.trust import accepted, beside, statement, times
from codegenie.trust.pinned import AT_INSTALL, TrustPin
from codegenie.trust.trusted_lock import TrustedLock

DIGEST = "0123456789abcdef" * 4
INDEX = "PLUGINS.bytecode/cpython-313/alpha.index"
LAST = 253402300799
"""9999-12-31T23:59:59Z."""


def rendered(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "application": "shop",
        "sequence": 7,
        "issued": 1_790_000_000,
        "expires": None,
        "subjects": {"PLUGINS.lock": DIGEST},
        **changes,
    }
    return statement.render(statement.Statement(**values))


PLAIN = rendered()
FULL = rendered(expires=1_800_000_000, subjects={"PLUGINS.lock": DIGEST, INDEX: DIGEST[::-1]})


def check(data: bytes) -> bool:
    """Return True if a statement is recognized, and check that the parser reads the same."""
    found = pinned_lock.recognize(data)
    if found is None:
        return False
    parsed = statement.parse(data)
    assert found == (parsed.issued, parsed.expires, parsed.subjects)
    return True


def test_limits_and_names_are_those_of_trust() -> None:
    assert pinned_lock.STATEMENT_NAME == statement.STATEMENT_NAME
    assert pinned_lock.LOCK_SUBJECT == statement.LOCK_SUBJECT
    assert pinned_lock.MAX_STATEMENT_BYTES == statement.MAX_STATEMENT_BYTES
    assert lock.MAX_LOCK_BYTES == beside.MAX_LOCK_BYTES
    assert pinned_lock.CLOCK_TOLERANCE == accepted.CLOCK_TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"expires": 1_800_000_000},
        {"application": "x" * 255},
        {"application": "a shop, of (many) things"},
        {"application": "expires"},
        {"sequence": 1},
        {"sequence": 10**15 - 1},
        {"issued": 0},
        {"issued": 0, "expires": LAST},
        {"subjects": {"PLUGINS.lock": DIGEST, INDEX: DIGEST}},
        {
            "subjects": {
                "PLUGINS.lock": DIGEST,
                **{
                    f"PLUGINS.bytecode/cpython-3{minor}.opt-2/SuperSay v{unit}.index": DIGEST
                    for minor in range(11, 16)
                    for unit in range(30)
                },
            }
        },
    ],
)
def test_written_statement_is_recognized(changes: dict[str, Any]) -> None:
    assert check(rendered(**changes))


@given(
    st.builds(
        rendered,
        application=st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=9),
        sequence=st.integers(0, 2**53),
        issued=st.integers(0, LAST),
        expires=st.none() | st.integers(0, LAST),
    )
)
def test_every_value_is_read_as_the_parser_reads_it(data: bytes) -> None:
    check(data)


@given(st.integers(0, LAST))
def test_every_time_is_recognized(seconds: int) -> None:
    assert pinned_lock.recognize(rendered(issued=seconds)) == (
        seconds,
        None,
        {"PLUGINS.lock": DIGEST},
    )


@pytest.mark.parametrize("data", [PLAIN, FULL], ids=["plain", "full"])
def test_no_changed_byte_is_read_in_another_way(data: bytes) -> None:
    for place in range(len(data)):
        before, after = data[:place], data[place + 1 :]
        for other in (b"", b'"', b"\\", b" ", b"0", b"9", b"f", b"/", b"\x7f", b"\xe9", b"\n"):
            check(before + other + after)
            check(before + other + data[place:])


@pytest.mark.parametrize("data", [PLAIN, FULL], ids=["plain", "full"])
def test_no_moved_word_is_read_in_another_way(data: bytes) -> None:
    words = data.split(b'"')
    for place in range(len(words)):
        check(b'"'.join([*words[:place], *words[place + 1 :]]))
        for other in words:
            check(b'"'.join([*words[:place], other, *words[place + 1 :]]))
            check(b'"'.join([*words[:place], other, *words[place:]]))


@pytest.mark.parametrize(
    "time",
    [
        *("1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2024-02-29T00:00:00Z"),
        *("2026-04-30T00:00:00Z", "2026-07-31T00:00:00Z", "2026-08-31T00:00:00Z"),
        *("1969-12-31T23:59:59Z", "1900-02-29T00:00:00Z", "2026-02-29T00:00:00Z"),
        *("2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z"),
        *("2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z", "2026-09-31T00:00:00Z"),
        *("2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z"),
        *("2026-01-01 00:00:00Z", "2026-01-01T00:00:00z", "2026-01-01T00:00:00", "+026-01-01"),
        *("2026-1_-01T00:00:00Z", "2026- 1-01T00:00:00Z", "2026-01-01T00:00:00Z ", ""),
    ],
)
def test_a_time_exists_or_is_not_recognized(time: str) -> None:
    try:
        times.parse(time)
    except ValueError:
        exists = False
    else:
        exists = True
    issued = times.render(1_790_000_000)
    assert check(PLAIN.replace(issued.encode(), time.encode())) == exists


@pytest.mark.parametrize(
    "data",
    [
        b"",
        json.dumps(json.loads(PLAIN)).encode(),
        json.dumps(json.loads(PLAIN), indent=2).encode(),
        PLAIN[:-1],
        b"\xef\xbb\xbf" + PLAIN,
        rendered(application="caf\u00e9"),
        rendered(application='the "shop"'),
        rendered(application=""),
        rendered(application="x" * 256),
        rendered(application=" shop"),
        rendered(application="shop\x7f"),
        rendered(sequence=0),
        rendered(sequence=2**53),
        rendered(sequence=True),
        rendered(expires=1_790_000_000),
        rendered(subjects={}),
        rendered(subjects={INDEX: DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST.upper()}),
        rendered(subjects={"PLUGINS.lock": DIGEST[1:]}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "PLUGINS.bytecode/../a.index": DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "PLUGINS.bytecode/x/../a.index": DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "PLUGINS.bytecode/x/a.pack": DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "PLUGINS.bytecode/x/.index": DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "other/x/a.index": DIGEST}),
        rendered(subjects={"PLUGINS.lock": DIGEST, "PLUGINS.bytecode/\x7f/a.index": DIGEST}),
        PLAIN.replace(b"/v1", b"/v2"),
        PLAIN.replace(b":v1", b":v2"),
    ],
)
def test_unusual_statement_is_left_to_the_parser(data: bytes) -> None:
    assert pinned_lock.recognize(data) is None


def test_a_name_that_is_given_twice_is_not_recognized() -> None:
    entry = PLAIN[PLAIN.index(b"    {\n      ") : PLAIN.index(b"\n  ]\n")]
    assert not check(PLAIN.replace(entry, entry + b",\n" + entry))


@pytest.mark.parametrize("is_pinned", [True, False], ids=["pinned", "trusted"])
def test_accepted_statement_counts_during_next_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_pinned: bool
) -> None:
    """Let another thread look up an index while this one reads the lock again."""
    (tmp_path / "PLUGINS.lock").write_bytes(b"{}\n")
    index = b"the index"
    subjects = {"PLUGINS.lock": file_digest(b"{}\n").hex(), INDEX: file_digest(index).hex()}
    data = rendered(issued=1_000_000_000, subjects=subjects)
    (tmp_path / "PLUGINS.statement.json").write_bytes(data)
    path, digest = str(tmp_path / "PLUGINS.lock"), file_digest(data).hex()
    pin = TrustPin("", "", AT_INSTALL, statement=digest)
    full = TrustedLock(pin, path)
    trusted = PinnedLock(path, digest, lambda: full) if is_pinned else full
    module, name = (pinned_lock, "read_regular") if is_pinned else (beside, "read_lock")
    really, covered = getattr(module, name), list[bool]()

    def overtaken(*given: Any, **named: Any) -> Any:
        covered.append(trusted.covers(INDEX, index))
        return really(*given, **named)

    assert trusted.read().is_ok()
    monkeypatch.setattr(module, name, overtaken)
    assert trusted.read().is_ok()
    assert covered
    assert all(covered)
    monkeypatch.undo()
    (tmp_path / "PLUGINS.lock").write_bytes(b"{ }\n")
    assert trusted.read().is_err()
    assert not trusted.covers(INDEX, index)
