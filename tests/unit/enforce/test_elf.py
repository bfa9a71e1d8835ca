"""Reading the dynamic section of a shared object."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pydantic_core._pydantic_core
import pytest

from codegenie._enforce.elf import Dynamic, _Form, read_dynamic, read_dynamic_of
from tests.fixtures.machine_code import COMPILER

EXTENSION = Path(pydantic_core._pydantic_core.__file__)
"""A shared object that every installation of this project has."""

pytestmark = pytest.mark.skipif(
    EXTENSION.read_bytes()[:4] != b"\x7fELF", reason="shared objects are not ELF here"
)


def mapped() -> list[Path]:
    """Return every shared object that is loaded into this process."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return [EXTENSION]
    paths = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if ".so" in line}
    return sorted(path for path in map(Path, paths | {str(EXTENSION)}) if path.is_file())


def readelf(path: Path) -> tuple[str, list[str], list[str]]:
    """Return the same three things, as ``readelf`` prints them."""
    printed = subprocess.run(
        ["readelf", "-d", "-W", str(path)], capture_output=True, text=True, check=True
    ).stdout
    values: dict[str, list[str]] = {"(NEEDED)": [], "(SONAME)": [], "(RPATH)": [], "(RUNPATH)": []}
    for line in printed.splitlines():
        for tag, found in values.items():
            if tag in line:
                found.append(line.partition("[")[2].rpartition("]")[0])
    search = values["(RUNPATH)"] or values["(RPATH)"]
    return (
        "".join(values["(SONAME)"]),
        values["(NEEDED)"],
        search[0].split(":") if search else [],
    )


def parts(dynamic: Dynamic | None) -> tuple[str, list[str], list[str]]:
    assert dynamic is not None
    return dynamic.soname, dynamic.needed, dynamic.search


def test_a_real_extension_module_is_read() -> None:
    dynamic = read_dynamic(EXTENSION.read_bytes())
    assert dynamic is not None
    assert any(name.startswith("libc.") for name in dynamic.needed), dynamic.needed


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
def test_real_shared_objects_are_read_as_readelf_reads_them() -> None:
    for path in mapped():
        assert parts(read_dynamic(path.read_bytes())) == readelf(path), path


def build(folder: Path, *flags: str) -> bytes:
    source = folder / "source.c"
    source.write_text("int answer(void) { return 42; }\n")
    target = folder / "out.so"
    done = subprocess.run(
        [str(COMPILER), "-shared", "-fPIC", "-nostdlib", "-o", str(target), str(source), *flags],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"this compiler cannot build it: {done.stderr.strip()[:200]}")
    return target.read_bytes()


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
@pytest.mark.parametrize(
    ("flags", "soname", "search"),
    [
        pytest.param([], "", [], id="plain"),
        pytest.param(["-Wl,-soname,libx.so.1"], "libx.so.1", [], id="soname"),
        pytest.param(
            ["-Wl,-rpath,$ORIGIN/lib:/opt", "-Wl,--enable-new-dtags"],
            "",
            ["$ORIGIN/lib", "/opt"],
            id="runpath",
        ),
        pytest.param(
            ["-Wl,-rpath,$ORIGIN/../x.libs", "-Wl,--disable-new-dtags"],
            "",
            ["$ORIGIN/../x.libs"],
            id="rpath",
        ),
        pytest.param(["-m32", "-Wl,-soname,lib32.so"], "lib32.so", [], id="32-bit"),
    ],
)
def test_a_shared_object_is_read_as_it_was_linked(
    tmp_path: Path, flags: list[str], soname: str, search: list[str]
) -> None:
    assert parts(read_dynamic(build(tmp_path, *flags))) == (soname, [], search)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x7f", b"\x7fEL", b"\x7fELF", b"MZ", b"#!/bin/sh\n", b"\0" * 4096, b"\x7fELG" * 99],
)
def test_what_is_no_shared_object_is_none(data: bytes) -> None:
    assert read_dynamic(data) is None


def test_a_truncated_shared_object_never_raises() -> None:
    data = EXTENSION.read_bytes()
    whole = parts(read_dynamic(data))
    view = memoryview(data)
    # Every 97th byte where the tables are; the rest, which is code and symbols, in larger steps.
    lengths = [*range(0, 16384, 97), *range(16384, len(data), 97 * 101)]
    outcomes = [read_dynamic(bytes(view[:length])) for length in lengths]
    assert None in outcomes
    # A file cut off behind the tables may be read as it is; nothing else may come out.
    assert all(parts(outcome) == whole for outcome in outcomes if outcome is not None)


@pytest.fixture(scope="module")
def small() -> bytes:
    """Return the smallest shared object that is at hand: damage to it is likely to hit a table."""
    return min((path.read_bytes() for path in mapped()), key=len)


def test_a_small_shared_object_truncated_at_every_97th_byte_never_raises(small: bytes) -> None:
    assert read_dynamic(small) is not None
    outcomes = [read_dynamic(small[:length]) for length in range(0, len(small), 97)]
    assert None in outcomes


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_shared_object_never_raises(small: bytes, seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(100):
        damaged = bytearray(small)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(4, 1024)] = generator.choice([0, 1, 127, 128, 255])
        outcome = read_dynamic(bytes(damaged))
        assert outcome is None or isinstance(outcome, Dynamic)


@pytest.mark.parametrize("value", [2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("field", ["program-headers", "dynamic-offset", "dynamic-size"])
def test_offsets_beyond_the_end_are_damage(small: bytes, value: int, field: str) -> None:
    """The format has 64 bits for an offset, one more than the interpreter has for an index."""
    if small[4:6] != b"\x02\x01":
        pytest.skip("written for the 64-bit little-endian layout")
    damaged = bytearray(small)
    (table,) = struct.unpack_from("<Q", damaged, 32)
    size, count = struct.unpack_from("<HH", damaged, 54)
    headers = [table + index * size for index in range(count)]
    (dynamic,) = [at for at in headers if struct.unpack_from("<I", damaged, at) == (2,)]
    at = {"program-headers": 32, "dynamic-offset": dynamic + 8, "dynamic-size": dynamic + 32}
    struct.pack_into("<Q", damaged, at[field], value)
    outcome = read_dynamic(bytes(damaged))
    # A wrong size is harmless: the section ends at its own end mark.
    assert (outcome is None) is (field != "dynamic-size")


def test_an_endless_dynamic_section_ends() -> None:
    """A section without an end mark, a terabyte long by its own word, in a file of a few bytes."""
    data = bytearray(64 + 56 + 16)
    data[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", data, 32, 64)
    struct.pack_into("<HH", data, 54, 56, 1)
    struct.pack_into("<IIQQQQ", data, 64, 2, 0, 120, 0, 0, 2**40)
    struct.pack_into("<qQ", data, 120, 1, 1)
    assert read_dynamic(bytes(data)) is None


@pytest.mark.parametrize("path", mapped(), ids=lambda path: path.name)
def test_a_file_is_read_as_its_bytes_are(path: Path) -> None:
    from_bytes, from_file = read_dynamic(path.read_bytes()), read_dynamic_of(str(path))
    assert parts(from_file) == parts(from_bytes)


@pytest.mark.parametrize("size", [1, 2])
def test_a_number_ends_within_the_data(size: int) -> None:
    form = _Form(wide=True, order="little")
    assert form.number(b"\1\2\3\4"[: 2 + size], 2, size) == (3 if size == 1 else 0x0403)
    with pytest.raises(ValueError, match="truncated"):
        form.number(b"\1\2\3\4"[: 1 + size], 2, size)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("no library")
    for name in ("fifo", "text", "not-there", ".", "a\0b"):
        assert read_dynamic_of(f"{tmp_path}/{name}") is None


def made(*, wide: bool, order: str) -> bytes:
    """Return a shared object of any machine: its headers, its dynamic section and its names."""
    header, entry, word = (64, 56, "Q") if wide else (52, 32, "I")
    strings = b"\0libneeded.so\0libown.so\0$ORIGIN/lib\0"
    table = header + 2 * entry
    tags = [(1, 1), (14, 14), (29, 24), (5, 0x12345), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}2{word}", *tag) for tag in tags)
    mapped = table + len(dynamic)  # the strings are mapped elsewhere than they are in the file

    def segment(kind: int, offset: int, address: int, size: int) -> bytes:
        if wide:
            fields = (kind, 4, offset, address, address, size, size, 1)
            return struct.pack(f"{order}2I6Q", *fields)
        return struct.pack(f"{order}8I", kind, offset, address, address, size, size, 4, 1)

    kind = b"\x7fELF" + bytes((1 + wide, 1 + (order == ">"), 1)) + bytes(9)
    rest = (3, 0, 1, 0, header, 0, 0, header, entry, 2, 0, 0, 0)
    return b"".join(
        (
            kind,
            struct.pack(f"{order}2HI3{word}I6H", *rest),
            segment(1, mapped, 0x12345, len(strings)),
            segment(2, table, 0x400, len(dynamic)),
            dynamic,
            strings,
        )
    )


@pytest.mark.parametrize("wide", [True, False], ids=["64-bit", "32-bit"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_shared_objects_of_other_machines_are_read(wide: bool, order: str) -> None:
    expected = ("libown.so", ["libneeded.so"], ["$ORIGIN/lib"])
    assert parts(read_dynamic(made(wide=wide, order=order))) == expected
