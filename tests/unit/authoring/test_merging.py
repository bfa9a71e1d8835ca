"""Three-way merges of locks and sidecars, by plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie.authoring import merging
from codegenie.authoring.merging import Merge
from codegenie.integrity import lock
from codegenie.result import Err, Ok

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
Entries = Mapping[str, str]


def merge_files(merge: Callable[[str, str, str], Merge], *sides: bytes) -> Merge:
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("base", "ours", "theirs")]
        for path, data in zip(paths, sides, strict=True):
            path.write_bytes(data)
        return merge(*map(str, paths))


def merge_locks(*sides: Entries) -> Merge:
    return merge_files(merging.merge_locks, *map(lock.render, sides))


def read(data: bytes, folder: Path) -> Ok[dict[str, str]] | Err[object]:
    (folder / "PLUGINS.lock").write_bytes(data)
    found = lock.read(str(folder / "PLUGINS.lock"))
    return Ok(found.value) if isinstance(found, Ok) else Err(found.error)


quick = settings(deadline=None)
entries = st.dictionaries(st.sampled_from("pqrstu"), st.sampled_from([A, B, C]))


@quick
@given(entries, entries, entries)
def test_what_comes_out_for_a_plugin_is_what_a_side_says(
    base: Entries, ours: Entries, theirs: Entries
) -> None:
    merged = merge_locks(base, ours, theirs)
    clashes = {
        p
        for p in {*base, *ours, *theirs}
        if ours.get(p) != theirs.get(p) and base.get(p) not in (ours.get(p), theirs.get(p))
    }
    assert set(merged.conflicts) == clashes
    if clashes:
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(merged.data)
        return
    result = json.loads(merged.data)
    assert merged.data == lock.render(result)  # the one form that a lock has
    for plugin in {*base, *ours, *theirs}:
        one, two = ours.get(plugin), theirs.get(plugin)
        changed = [side for side in (one, two) if side != base.get(plugin)]
        assert result.get(plugin) == (changed[0] if changed else base.get(plugin))


@quick
@given(entries, entries, entries)
def test_it_does_not_matter_which_side_is_ours(
    base: Entries, ours: Entries, theirs: Entries
) -> None:
    one, other = merge_locks(base, ours, theirs), merge_locks(base, theirs, ours)
    assert one.conflicts == other.conflicts
    if one.clean:
        assert one.data == other.data


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "why"),
    [
        ({"p": A}, {"p": B}, {"p": C}, "was changed on both sides, differently"),
        ({}, {"p": B}, {"p": C}, "was added on both sides, differently"),
        ({"p": A}, {}, {"p": C}, "was changed on one side and removed on the other"),
        ({"p": A}, {"p": C}, {}, "was changed on one side and removed on the other"),
    ],
)
def test_a_conflict_says_why_and_leaves_no_lock(
    tmp_path: Path, base: Entries, ours: Entries, theirs: Entries, why: str
) -> None:
    merged = merge_locks({**base, "o": A}, {**ours, "o": A}, {**theirs, "o": A})
    assert merged.conflicts == {"p": why}
    assert isinstance(read(merged.data, tmp_path), Err)
    # Either decision, by taking the markers and the other side out, gives that side's entries.
    text = merged.data.decode()
    first, _, rest = text.partition("<<<<<<< ours\n")
    one, _, rest = rest.partition("=======\n")
    two, _, last = rest.partition(">>>>>>> theirs\n")
    for version, side in ((one, ours), (two, theirs)):
        if side:
            assert read(f"{first}{version}{last}".encode(), tmp_path) == Ok({**side, "o": A})


BROKEN = {
    "not JSON": b"<<<<<<< ours\n{}\n",
    "a key twice": f'{{"p": "{A}", "p": "{B}"}}'.encode(),
    "a bad id": f'{{"p/q": "{A}"}}'.encode(),
    "too large": b" " * (lock.MAX_LOCK_BYTES + 1),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("place", [0, 1, 2], ids=["base", "ours", "theirs"])
def test_a_side_that_is_no_lock_is_not_merged(tmp_path: Path, broken: bytes, place: int) -> None:
    sides = [lock.render({"p": A})] * 3
    sides[place] = broken
    merged = merge_files(merging.merge_locks, *sides)
    assert not merged.clean
    assert merged.problem is not None
    whose = ("the common ancestor", "ours", "theirs")[place]
    assert merged.problem.startswith(f"{whose} is not a lock: "), merged
    assert isinstance(read(merged.data, tmp_path), Err)


def test_an_empty_file_is_one_that_was_not_there() -> None:
    merged = merge_files(merging.merge_locks, b"", lock.render({"p": A}), lock.render({"q": B}))
    assert json.loads(merged.data) == {"p": A, "q": B}


@pytest.mark.parametrize("place", [1, 2])
def test_an_empty_side_is_no_lock(place: int) -> None:
    sides = [lock.render({"p": A})] * 3
    sides[place] = b""
    merged = merge_files(merging.merge_locks, *sides)
    whose = ("ours", "theirs")[place - 1]
    assert merged.problem is not None
    assert merged.problem.startswith(f"{whose} is not a lock: ")


def test_a_merged_lock_that_no_reader_accepts_is_a_conflict(tmp_path: Path) -> None:
    ours = {f"{'p' * 100}{n}": A for n in range(300)}
    theirs = {f"{'q' * 100}{n}": A for n in range(300)}
    merged = merge_locks({}, ours, theirs)
    assert merged.problem == "the merged lock is larger than 65536 bytes, and not read"
    assert isinstance(read(merged.data, tmp_path), Err)


def lines(plugin: str, **files: str) -> bytes:
    return b"".join(f"{digest}  {plugin}/{path}\n".encode() for path, digest in files.items())


def test_a_sidecar_is_merged_by_whole_sections() -> None:
    base = lines("p", api=A, x=A) + lines("q", api=A)
    ours = lines("p", api=B, x=A) + lines("q", api=A)
    theirs = lines("o", api=C) + lines("p", api=A, x=A) + lines("q", api=C)
    merged = merge_files(merging.merge_sidecars, base, ours, theirs)
    assert merged.clean
    assert merged.data == lines("o", api=C) + lines("p", api=B, x=A) + lines("q", api=C)


def test_lines_of_two_sections_are_never_mixed() -> None:
    """Each side changed another file of the plugin: merged by lines this would pass, and prove
    nothing."""
    base, ours, theirs = (lines("p", api=one, x=two) for one, two in ((A, A), (B, A), (A, B)))
    merged = merge_files(merging.merge_sidecars, base, ours, theirs)
    assert merged.conflicts == {"p": "was changed on both sides, differently"}
    assert merged.data == merging.OURS + ours + merging.BETWEEN + theirs + merging.THEIRS


@pytest.mark.parametrize("line", [b"x\n", f"{A}  p/\n".encode(), f"{A}  p/x".encode(), b"\n"])
def test_a_sidecar_with_another_line_is_not_merged(line: bytes) -> None:
    good = lines("p", api=A)
    merged = merge_files(merging.merge_sidecars, good, good + line, good)
    assert merged.problem == (
        "ours holds a line that is neither '<sha256>  <plugin>/<path>' nor '<sha256>  <file>'"
    )
