"""Whatever a file holds, a reader answers: with plain data, or with one sentence."""

from __future__ import annotations

import datetime
import json
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegenie.parsers import safe_json, safe_yaml
from codegenie.result import Ok

# The duration of an example is no property of the code.
quick = settings(deadline=None, max_examples=300)

MAX_BYTES = 4096
MAX_DEPTH = 5

JSON_SYNTAX = r'{ } [ ] : , " \ "a" NaN -Infinity 1 - . e \u0061 \ud800 true null'
YAML_SYNTAX = r"""
    { } [ ] : , - ? " ' \ a | > |2- &x *x << ! !! !<x> %YAML %TAG 1.1 --- ... # @ ` = ~ yes
    0x_ 0b 1_0 1:2:3 1.5 .inf 2001-13-01 2001-01-01t1:2:3+99:99 \x \U FFFFFFFF
    !!str !!int !!float !!bool !!null !!timestamp !!binary !!set !!omap !!pairs !!map !!seq
    !!python/name:os.system
"""
CHARACTERS = [" ", "\n", "\n  ", "\t", "\ufeff", "\0", "\x85", "\u2028", "é", "\U0001f600"]

json_pieces = st.lists(st.sampled_from([*JSON_SYNTAX.split(), *CHARACTERS]), max_size=25).map(
    lambda parts: "".join(parts).encode()
)
yaml_pieces = st.lists(
    # Most of YAML's syntax means something only where a blank follows it.
    st.sampled_from(
        [*YAML_SYNTAX.split(), *CHARACTERS, "1:" * 200, *(f"{s} " for s in YAML_SYNTAX.split())]
    ),
    max_size=12,
).map(lambda parts: "".join(parts).encode())


def check_plain(value: object, depth: int = 0) -> None:
    """Data only: nothing that could run, and no deeper than allowed."""
    if isinstance(value, dict):
        assert depth < MAX_DEPTH
        for key, below in value.items():
            assert isinstance(key, str)
            check_plain(below, depth + 1)
    elif isinstance(value, list | set | tuple):
        assert depth < MAX_DEPTH or isinstance(value, tuple)
        for below in value:
            check_plain(below, depth + 1)
    else:
        plain = str | bytes | bool | int | float | datetime.date | None
        assert isinstance(value, plain), type(value)


@quick
@given(st.one_of(json_pieces, st.binary(max_size=100), st.text(max_size=50).map(str.encode)))
@example(b"[" * 4000)
@example(b"9" * 4096)
@example(b"1" * 4097)
def test_json_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        result = safe_json.load(path, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
        if isinstance(result, Ok):
            check_plain(result.value)
            assert json.loads(data.decode()) == result.value
        else:
            assert result.error.path == str(path)
            assert result.error.detail


@quick
@given(st.one_of(yaml_pieces, json_pieces, st.binary(max_size=100), st.text().map(str.encode)))
@example(b"!!bool x")
@example(b"!!int ''")
@example(b"!!timestamp x")
@example(b'"\\UFFFFFFFF"')
@example(b"[" * 4000)
@example(b"1" * 4097)
def test_yaml_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        result = safe_yaml.load(path, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
        if isinstance(result, Ok):
            check_plain(result.value)
        else:
            assert result.error.path == str(path)
            assert result.error.detail
            assert "\n" not in result.error.detail


# Text that both formats spell alike, brackets included.
plain_text = st.text("ab[]{},:#\"\\'", max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain_text,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(plain_text, below, max_size=3),
    max_leaves=6,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@quick
@given(json_values, st.integers(0, 4))
@example([[]], 1)
def test_depth_is_counted_as_it_is(value: object, cap: int) -> None:
    """Both readers agree with a count over the finished value, for any value and cap."""
    data = json.dumps(value).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        for reader in (safe_json, safe_yaml):
            result = reader.load(path, max_bytes=10**6, max_depth=cap)
            if depth_of(value) <= cap:
                assert result == Ok(value), reader
            else:
                assert result.unwrap_err().detail == f"is nested more than {cap} deep", reader
