"""Check packs: of any bytes as an index, an entry is returned only with the digest named there.

The index must also name the tree, the interpreter and the optimization level."""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER
from typing import Any

from codegenie.integrity import packs
from tests.fuzz import scratch

TREE = "ab" * 32
PLUGIN = "alpha"
CODE = compile("VALUE = 42\n", "elsewhere.py", "exec")
ENTRY = MAGIC_NUMBER + (1).to_bytes(4, "little") + b"\0" * 8 + marshal.dumps(CODE)
PACK = ENTRY + b"no code" + b"\0" * 64
MAX_DEPTH = 2
PLACEHOLDERS = {
    b"MAGIC": MAGIC_NUMBER.hex().encode(),
    b"ENTRY": b"0 %d %s" % (len(ENTRY), hashlib.sha256(ENTRY).hexdigest().encode()),
    b"CODELESS": b"%d 7 %s" % (len(ENTRY), hashlib.sha256(b"no code").hexdigest().encode()),
    b"EMPTY": hashlib.sha256(b"").hexdigest().encode(),
}
"""The corpus has these in place of values that depend on the interpreter."""

TOKENS = [
    *(b"{\n", b"  }\n", b"}\n", b",\n", b'": "', b'"', b"{", b"}", b"MAGIC", b"ENTRY", b"EMPTY"),
    *(b'  "format": 1,\n', b'  "tree": "%s",\n' % TREE.encode(), b'  "magic": "MAGIC",\n'),
    *(b'  "optimize": 0,\n', b'  "entries": {\n', b'    "api.py": "ENTRY"', b"CODELESS"),
    *(b"-1 ", b"+0 ", b"0 0 EMPTY", b"-9 9 ", b"9999999999999999999 ", b"1_0 ", b" ", b"null"),
    *(b"-1152921504606846976 1152921504606846976 ", b"\xd9\xa3 ", b"1e3 ", b"true", b"[]"),
]


def check(data: bytes) -> None:
    for placeholder, value in PLACEHOLDERS.items():
        data = data.replace(placeholder, value)
    path = index_of(data)
    pack = packs.load_pack(f"{scratch.folder()}/PLUGINS.lock", PLUGIN, TREE, lambda *_: True)
    expected = entries_of(data)
    assert bool(pack.reason) is (expected is None)
    assert pack.reason.isprintable()
    assert pack.names() == frozenset(expected or {})
    for name, place in (expected or {}).items():
        entry = pack.read(name)
        assert entry == entry_at(place), (name, place)
        code = pack.code(name, "/plugins/api.py")
        assert (code is None) is (entry != ENTRY)
        assert code is None or (code.co_filename, code.co_code) == (
            "/plugins/api.py",
            CODE.co_code,
        )
    assert pack.read("absent.py") == (expected or {}).get("absent.py")
    refused = packs.load_pack(f"{scratch.folder()}/PLUGINS.lock", PLUGIN, TREE, lambda *_: False)
    assert not refused.names()
    assert os.path.exists(path)


def index_of(data: bytes) -> str:
    """Write an index, and a pack that is always the same."""
    folder = f"{packs.FOLDER_NAME}/{sys.implementation.cache_tag}"
    level = f".opt-{sys.flags.optimize}" if sys.flags.optimize else ""
    os.makedirs(os.path.join(scratch.folder(), folder + level), exist_ok=True)
    scratch.file_with(f"{folder}{level}/{PLUGIN}.pack", PACK)
    return scratch.file_with(f"{folder}{level}/{PLUGIN}.index", data)


def entries_of(data: bytes) -> dict[str, Any] | None:
    """Return the entries of an index that is used; None for any other."""
    try:
        text = data.decode("utf-8")
        index = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(index, dict) or depth(index) > MAX_DEPTH:
        return None
    about = {"tree": TREE, "magic": MAGIC_NUMBER.hex()}
    if any(index.get(name) != value for name, value in about.items()):
        return None
    if index.get("format") != 1 or index.get("optimize") != sys.flags.optimize:
        return None
    entries = index.get("entries")
    return entries if isinstance(entries, dict) else None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def refuse(name: str) -> None:
    raise ValueError(name)


def depth(value: object) -> int:
    if not isinstance(value, dict | list):
        return 0
    below = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, below), default=0)


def entry_at(place: object) -> bytes | None:
    """Return the bytes at a place in the pack, if they have the digest that it names."""
    parts = place.split(" ") if isinstance(place, str) else []
    if len(parts) != 3:
        return None
    try:
        offset, size = int(parts[0]), int(parts[1])
    except ValueError:
        return None
    entry = PACK[offset : offset + size]
    if offset < 0 or size < 0 or len(entry) != size:
        return None
    return entry if hashlib.sha256(entry).hexdigest() == parts[2] else None
