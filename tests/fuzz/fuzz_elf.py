"""Shared objects: any bytes are read or are no shared object, and no name is made up."""

from __future__ import annotations

from codegenie._enforce.elf import MAX_DYNAMIC_ENTRIES, Dynamic, read_dynamic

TOKENS = [
    *(b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x01\x01", b"\x7fELF\x02\x02\x01", b"\x7fELF\x01\x02"),
    *(bytes([tag, 0, 0, 0]) for tag in (0, 1, 2, 5, 10, 14, 15, 29)),
    *(bytes([tag, 0, 0, 0, 0, 0, 0, 0]) for tag in (0, 1, 5, 10, 14, 15, 29)),
    *(b"\xff\xff\xff\xff", b"\xff" * 8, b"\x00" * 8, b"\xfd\xff\xff\x7f", b"\xff\xff\xff\x7f"),
    *(b"$ORIGIN/lib\0", b"libc.so.6\0", b"\xff\0", b":"),
]


def check(data: bytes) -> None:
    found = read_dynamic(data)
    if found is None:
        return
    assert data.startswith(b"\x7fELF")
    assert len(found.needed) <= MAX_DYNAMIC_ENTRIES
    names = [*found.needed, *([found.soname] if found.soname else [])]
    if found.search:
        names.append(":".join(found.search))
    for name in names:
        assert name.encode() + b"\0" in data
    assert fields(read_dynamic(data)) == fields(found)


def fields(found: Dynamic | None) -> object:
    return found and (found.soname, found.needed, found.search)
