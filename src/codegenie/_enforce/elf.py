"""Read what an ELF shared object needs: its name, its libraries, and where to look for them.

Only as much of the format (System V gABI, "Dynamic Section") as it takes to find the libraries of a
plugin's own tree before the dynamic linker looks for them on the disk.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, TypeAlias

    Read: TypeAlias = Callable[[int, int], bytes]

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ = 0, 1, 5, 10
DT_SONAME, DT_RPATH, DT_RUNPATH = 14, 15, 29
DT_AUXILIARY, DT_FILTER = 0x7FFFFFFD, 0x7FFFFFFF
"""Libraries that replace this one. The dynamic linker loads them like needed libraries."""

MAX_DYNAMIC_ENTRIES = 4096

_MAX_READ = 1 << 20
"""Bytes read from a file at once. The headers of real libraries take a few hundred."""

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Dynamic:
    """The part of a dynamic section that decides which libraries are loaded."""

    __slots__ = ("has_runpath", "needed", "search", "soname")

    def __init__(
        self, soname: str, needed: list[str], search: list[str], *, has_runpath: bool = False
    ) -> None:
        self.soname = soname
        self.needed = needed
        self.search = search
        self.has_runpath = has_runpath
        """True if ``search`` is a ``RUNPATH``, which comes after ``LD_LIBRARY_PATH``."""


def read_dynamic(data: bytes) -> Dynamic | None:
    """Parse a shared object; ``None`` if it is none, or is damaged (loading it will then fail)."""
    return _read(lambda offset, size: data[offset : offset + size])


def read_dynamic_of(path: str) -> Dynamic | None:
    """Parse a file that is not held to the lock, reading its headers only."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(lambda offset, size: os.pread(descriptor, min(size, _MAX_READ), offset))
    finally:
        os.close(descriptor)


def _read(read: "Read") -> Dynamic | None:
    try:
        return _read_dynamic(read)
    except (ValueError, LookupError, StopIteration, OverflowError, OSError):
        return None


def _read_dynamic(read: "Read") -> Dynamic | None:
    """Read the dynamic section as ``ld.so`` does.

    Raises:
        ValueError, LookupError, StopIteration, OverflowError, OSError: the file is malformed. Each
            offset in it may be a lie of an attacker.
    """
    header = read(0, 64)
    if header[:4] != b"\x7fELF":
        return None
    form = _Form(wide=header[4] == 2, order="little" if header[5] == 1 else "big")
    segments, dynamic = _segments(read, header, form)
    if dynamic is None:
        return None
    entries = _entries(read, dynamic, form)
    values = dict(entries)
    start = next(
        offset + values[DT_STRTAB] - address
        for address, offset, size in segments
        if address <= values.get(DT_STRTAB, -1) < address + size
    )

    def text(offset: int) -> str:
        string = read(start + offset, max(0, min(values[DT_STRSZ] - offset, _MAX_READ)))
        return string[: string.index(b"\0")].decode("utf-8")

    # As ld.so: a RUNPATH makes an RPATH count for nothing.
    paths = values.get(DT_RUNPATH, values.get(DT_RPATH))
    return Dynamic(
        text(values[DT_SONAME]) if DT_SONAME in values else "",
        [text(value) for tag, value in entries if tag in (DT_NEEDED, DT_AUXILIARY, DT_FILTER)],
        text(paths).split(":") if paths is not None else [],
        has_runpath=DT_RUNPATH in values,
    )


class _Form:
    """The encoding of numbers: the order of bytes, and the width of addresses.

    Without ``struct``, which would load an extension module while one is being checked.
    """

    __slots__ = ("order", "wide", "word")

    def __init__(self, *, wide: bool, order: "Literal['little', 'big']") -> None:
        self.wide = wide
        self.word = 8 if wide else 4
        self.order = order

    def number(self, data: bytes, at: int, size: int) -> int:
        """Return a number, which is never negative.

        Raises:
            ValueError: the data ends before it.
        """
        if len(data) < at + size:
            raise ValueError("truncated")
        return int.from_bytes(data[at : at + size], self.order)


def _segments(
    read: "Read", header: bytes, form: _Form
) -> "tuple[list[tuple[int, int, int]], tuple[int, int] | None]":
    """Return what is mapped, as (address, offset, size), and (offset, size) of the section."""
    table = form.number(header, 32 if form.wide else 28, form.word)
    entry_size = form.number(header, 54 if form.wide else 42, 2)
    count = form.number(header, 56 if form.wide else 44, 2)
    # Places of the type, the offset, the address and the size in the file.
    places = (0, 8, 16, 32) if form.wide else (0, 4, 8, 16)
    widths = (4, form.word, form.word, form.word)
    entries = read(table, entry_size * count)
    segments: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for at in range(0, entry_size * count, entry_size or 1):
        kind, offset, address, size = (
            form.number(entries, at + place, width)
            for place, width in zip(places, widths, strict=True)
        )
        if kind == PT_LOAD:
            segments.append((address, offset, size))
        elif kind == PT_DYNAMIC:
            dynamic = (offset, size)
    return segments, dynamic


def _entries(read: "Read", dynamic: tuple[int, int], form: _Form) -> list[tuple[int, int]]:
    """Return the tags and values of the dynamic section."""
    count = min(dynamic[1] // (2 * form.word), MAX_DYNAMIC_ENTRIES)
    section = read(dynamic[0], count * 2 * form.word)
    entries: list[tuple[int, int]] = []
    for index in range(count):
        at = index * 2 * form.word
        tag = form.number(section, at, form.word)
        if tag == DT_NULL:
            break
        entries.append((tag, form.number(section, at + form.word, form.word)))
    return entries
