"""What an ELF shared object needs: its name, the libraries it wants, and where it looks for them.

Only as much of the format (System V gABI, "Dynamic Section") as it takes to find the libraries of a
plugin's own tree before the dynamic linker looks for them on the disk.
"""

import struct

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ = 0, 1, 5, 10
DT_SONAME, DT_RPATH, DT_RUNPATH = 14, 15, 29
DT_AUXILIARY, DT_FILTER = 0x7FFFFFFD, 0x7FFFFFFF
"""Libraries that stand in for this one; the dynamic linker loads them as it loads needed ones."""

MAX_DYNAMIC_ENTRIES = 4096


class Dynamic:
    """The part of a dynamic section that decides which libraries are loaded."""

    __slots__ = ("needed", "search", "soname")

    def __init__(self, soname: str, needed: list[str], search: list[str]) -> None:
        self.soname = soname
        self.needed = needed
        self.search = search


def read_dynamic(data: bytes) -> Dynamic | None:
    """Parse a shared object; ``None`` if it is none, or is damaged (loading it will then fail)."""
    try:
        return _read_dynamic(data)
    except (struct.error, ValueError, LookupError, StopIteration, OverflowError):
        return None


def _read_dynamic(data: bytes) -> Dynamic | None:
    if data[:4] != b"\x7fELF":
        return None
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    if wide:
        (table,) = struct.unpack_from(order + "Q", data, 32)
        entry_size, count = struct.unpack_from(order + "HH", data, 54)
    else:
        (table,) = struct.unpack_from(order + "I", data, 28)
        entry_size, count = struct.unpack_from(order + "HH", data, 42)
    segments: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for index in range(count):
        at = table + index * entry_size
        if wide:
            kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", data, at)
        else:
            kind, offset, address, _, size = struct.unpack_from(order + "IIIII", data, at)
        if kind == PT_LOAD:
            segments.append((address, offset, size))
        elif kind == PT_DYNAMIC:
            dynamic = (offset, size)
    if dynamic is None:
        return None
    pair = struct.Struct(order + ("qQ" if wide else "iI"))
    entries: list[tuple[int, int]] = []
    for index in range(min(dynamic[1] // pair.size, MAX_DYNAMIC_ENTRIES)):
        tag, value = pair.unpack_from(data, dynamic[0] + index * pair.size)
        if tag == DT_NULL:
            break
        entries.append((tag, value))
    values = dict(entries)
    start = next(
        offset + values[DT_STRTAB] - address
        for address, offset, size in segments
        if address <= values.get(DT_STRTAB, -1) < address + size
    )
    strings = data[start : start + values[DT_STRSZ]]

    def text(offset: int) -> str:
        return strings[offset : strings.index(b"\0", offset)].decode("utf-8")

    # As ld.so: a RUNPATH makes an RPATH count for nothing.
    paths = values.get(DT_RUNPATH, values.get(DT_RPATH))
    return Dynamic(
        text(values[DT_SONAME]) if DT_SONAME in values else "",
        [text(value) for tag, value in entries if tag in (DT_NEEDED, DT_AUXILIARY, DT_FILTER)],
        text(paths).split(":") if paths is not None else [],
    )
