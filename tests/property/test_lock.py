"""Reading a lock, whatever it is, gives the entries or says what is wrong."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegenie.integrity import lock
from codegenie.result import Ok

# The duration of an example is no property of the code.
quick = settings(deadline=None, max_examples=200)

RESERVED = r"\.{1,2}\Z|__pycache__\Z|\.git\Z|PLUGINS\."
NAME = re.compile(rf"(?!{RESERVED}| )[^/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?<! )\Z")
DIGEST = re.compile(r"[0-9a-f]{64}\Z")

LOWER = "abcdefghijklmnopqrstuvwxyz"

ids = st.builds(str.__add__, st.sampled_from(LOWER), st.text(LOWER + "0123456789_-", max_size=127))
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
locks = st.dictionaries(ids, digests, max_size=12)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | digests,
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5) | ids, below, max_size=3)
    ),
    max_leaves=8,
)
documents = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    ),
    values | st.dictionaries(ids, values | digests, max_size=3),
    st.booleans(),
)
SYNTAX = r'{ } [ ] : , " \ "a" NaN - 1e999 null true \u0061 \ud800'
pieces = st.lists(
    st.sampled_from(
        [
            *map(str.encode, SYNTAX.split()),
            b'"%s"' % (b"a" * 64),
            b"\xef\xbb\xbf",
            b"\xff",
            b" ",
            b"\n",
        ]
    ),
    max_size=20,
).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a lock with a few bytes changed, removed or put in."""
    data = bytearray(lock.render(draw(locks)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def write(folder: str, data: bytes) -> str:
    path = Path(folder, "PLUGINS.lock")
    path.write_bytes(data)
    return str(path)


@quick
@given(locks)
def test_what_is_rendered_is_what_is_read(entries: dict[str, str]) -> None:
    data = lock.render(entries)
    assert data.decode() == json.dumps(entries, indent=2, sort_keys=True) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, data)
        assert lock.read(path) == Ok(entries)
        lock.write_lock(path, entries)
        assert Path(path).read_bytes() == data


@quick
@given(locks)
def test_a_lock_says_the_same_in_any_order(entries: dict[str, str]) -> None:
    backwards = dict(reversed(list(entries.items())))
    assert lock.render(backwards) == lock.render(entries)


@quick
@given(st.one_of(documents, pieces, damaged(), st.binary(max_size=200)))
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b"[" * 60_000)
@example(b'{"\\ud800": "x"}')
@example(b'{"0": "%s"}' % (b"0" * 64))
@example(b'{".git": "%s"}' % (b"0" * 64))
def test_any_bytes_are_a_lock_or_malformed(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, data)
        result = lock.read(path)
        if isinstance(result, Ok):
            # A second parser, and the grammar in the contract's words, must agree.
            assert json.loads(data) == result.value
            assert all(NAME.match(unit) and len(unit.encode()) < 256 for unit in result.value)
            assert all(DIGEST.match(digest) for digest in result.value.values())
        else:
            assert result.error.kind == "lock_file_malformed"
            assert result.error.plugin == "<lockfile>"
            assert result.error.location == path
            detail = result.error.evidence["detail"]
            assert detail.startswith(f"{path}: ")
            assert len(detail) > len(f"{path}: ")


@quick
@given(locks, ids, digests)
def test_a_key_given_twice_is_malformed(entries: dict[str, str], plugin: str, digest: str) -> None:
    first = f'"{plugin}": "{digest}"'
    rest = "".join(f', "{p}": "{d}"' for p, d in entries.items() if p != plugin)
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, f"{{{first}{rest}, {first}}}".encode())
        detail = lock.read(path).unwrap_err().evidence["detail"]
        assert detail == f"{path}: holds the key {plugin!r} twice"
