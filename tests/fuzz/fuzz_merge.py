"""Check merges of any three locks or file lists.

The strict readers accept a clean merge, which takes each plugin from one side, and no other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from codegenie.authoring import file_sections, merging
from codegenie.integrity import file_list, lock
from codegenie.result import Ok
from tests.fuzz import fuzz_lock, fuzz_sidecar, scratch

BETWEEN = b"\n~~~~\n"
"""Separates the three files of an input."""

ZEROS, ONES = b"0" * 64, b"1" * 64
TOKENS = [
    *(BETWEEN, b"{\n", b"}\n", b"{}\n", b'  "a": "', b'  "b": "', b'",\n', b'"\n', ZEROS, ONES),
    *(b'  "a": "%s",\n' % ZEROS, b'  "b": "%s"\n' % ONES, b"  a/x\n", b"  b\n", b"  a/y\n"),
    *(
        b"%s  a/x\n" % ZEROS,
        b"%s  b/x\n" % ONES,
        b"%s  b\n" % ZEROS,
        b"<<<<<<< ours\n",
        b"=======\n",
    ),
    *(b"\xff", b"\r\n", b"\\u0061", b"\xc3\xa9", b"\n"),
]

LINE = re.compile(rb"[0-9a-f]{64}  ([^/\n]+)(?:/[^\n]+)?\n")

Side = Mapping[str, object]


FILES = ("base", "ours", "theirs")


def check(data: bytes) -> None:
    parts = [*data.split(BETWEEN, 2), b"", b""]
    files = [scratch.file_with(name, part) for name, part in zip(FILES, parts, strict=False)]
    check_locks(files)
    check_file_lists(files)


def check_locks(files: list[str]) -> None:
    merge = merging.merge_locks(*files)
    merged = lock.read(scratch.file_with("merged", merge.data))
    sides = []
    for number, path in enumerate(files):
        read = lock.read(path)
        if isinstance(read, Ok):
            sides.append(read.value)
        elif number == 0 and not os.path.getsize(path):
            sides.append({})
    judge(merge, sides)
    if merge.clean:
        assert isinstance(merged, Ok)
        assert merged.value == three_way(*sides)
        assert merge.data == lock.render(merged.value)
    else:
        assert not isinstance(merged, Ok)


def check_file_lists(files: list[str]) -> None:
    merge = merging.merge_sidecars(*files)
    path = scratch.file_with(file_list.SIDECAR_NAME, merge.data)
    sides = [found for found in map(sections_of, files) if found is not None]
    judge(merge, sides)
    merged = file_sections.read_sections(path, strict=True)
    if not merge.clean:
        assert not isinstance(merged, Ok)
        return
    expected = three_way(*sides)
    assert isinstance(merged, Ok)
    assert merged.value == expected
    for plugin, section in merged.value.items():
        check_section(path, plugin, section)


def judge(merge: merging.Merge, sides: Sequence[Side]) -> None:
    """Check for each plugin if there must be a conflict."""
    assert (merge.problem is None) is (len(sides) == 3)
    if merge.problem is not None:
        return
    base, ours, theirs = sides
    conflicts = {
        plugin
        for plugin in {*ours, *theirs}
        if ours.get(plugin) != theirs.get(plugin)
        and base.get(plugin) not in (ours.get(plugin), theirs.get(plugin))
    }
    assert merge.conflicts.keys() == conflicts


def three_way(base: Side, ours: Side, theirs: Side) -> dict[str, object]:
    chosen = {
        plugin: theirs.get(plugin) if ours.get(plugin) == base.get(plugin) else ours.get(plugin)
        for plugin in {*ours, *theirs}
    }
    return {plugin: value for plugin, value in chosen.items() if value is not None}


def sections_of(path: str) -> dict[str, bytes] | None:
    """Return the lines of each plugin; None if a line has another form, or no plugin's name."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    sections: dict[str, bytes] = {}
    if lines.pop():
        return None  # the last line has no end
    for text in lines:
        line = text + b"\n"
        found = LINE.fullmatch(line)
        if found is None:
            return None
        try:
            name = found[1].decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not fuzz_lock.is_id(name):
            return None
        sections[name] = sections.get(name, b"") + line
    return sections


def check_section(path: str, plugin: str, section: bytes) -> None:
    """Compare with the reader of one plugin's lines, which a refusal uses."""
    files: dict[str, bytes] = {}
    for line in section.split(b"\n")[:-1]:
        digest, _, name = line.partition(b"  ")
        files[name.decode("utf-8", "replace").removeprefix(f"{plugin}/")] = bytes.fromhex(
            digest.decode()
        )
    wanted = fuzz_sidecar.digest_of(files)
    found = file_list.read_section(os.path.dirname(path), plugin, wanted)
    assert found is None or found == files
