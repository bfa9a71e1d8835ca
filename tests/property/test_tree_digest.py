"""The tree digest holds every byte and every name, and nothing else."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codegenie.hashing import tree_digest_of_files
from codegenie.integrity import walk
from tests.fixtures.trees import oracle

# The duration of an example is no property of the code.
pure = settings(deadline=None)
on_disk = settings(deadline=None, max_examples=50)

paths = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), min_size=1, max_size=12
)
contents = st.binary(max_size=40)
file_sets = st.dictionaries(paths, contents, max_size=8)
some_files = st.dictionaries(paths, contents, min_size=1, max_size=8)

FOLDERS = ("", "f/", "f/g/", "ü/", "x.pyc/")


def folded(path: str) -> str:
    """Return a path as a file system stores it that folds case and composes characters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


names = st.text(
    st.characters(categories=["L", "N", "Zs", "So"], include_characters=" .-_#'$é"),
    min_size=1,
    max_size=10,
).filter(lambda name: folded(name) not in {".", "..", *"fgü"} and not folded(name).endswith(".pyc"))
entries = st.tuples(st.sampled_from(FOLDERS), names).map("".join)
trees = st.lists(
    st.tuples(entries, contents),
    min_size=1,
    max_size=8,
    unique_by=lambda entry: folded(entry[0]),
).map(dict)


def create(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def digest_of(folder: Path) -> str:
    return walk.walk(str(folder.parent), folder.name).unwrap().digest


def digest(files: Mapping[str, bytes]) -> str:
    return tree_digest_of_files(files.items())


@pure
@given(st.data(), file_sets)
def test_the_order_does_not_matter(data: st.DataObject, files: dict[str, bytes]) -> None:
    shuffled = data.draw(st.permutations(list(files.items())))
    assert tree_digest_of_files(shuffled) == digest(files)


@pure
@given(st.data(), some_files)
def test_any_changed_byte_changes_the_digest(data: st.DataObject, files: dict[str, bytes]) -> None:
    path = data.draw(st.sampled_from(sorted(files)))
    old = files[path]
    assume(old)
    at = data.draw(st.integers(0, len(old) - 1))
    flipped = bytes([old[at] ^ data.draw(st.integers(1, 255))])
    assert digest({**files, path: old[:at] + flipped + old[at + 1 :]}) != digest(files)


@pure
@given(st.data(), some_files, st.binary(min_size=1, max_size=3))
def test_any_longer_or_shorter_file_changes_the_digest(
    data: st.DataObject, files: dict[str, bytes], more: bytes
) -> None:
    path = data.draw(st.sampled_from(sorted(files)))
    longer = {**files, path: files[path] + more}
    assert digest(longer) != digest(files)


@pure
@given(some_files, paths, contents)
def test_any_added_or_removed_file_changes_the_digest(
    files: dict[str, bytes], path: str, content: bytes
) -> None:
    assume(path not in files)
    assert digest({**files, path: content}) != digest(files)


@pure
@given(st.data(), some_files, paths)
def test_any_rename_changes_the_digest(
    data: st.DataObject, files: dict[str, bytes], new: str
) -> None:
    assume(new not in files)
    old = data.draw(st.sampled_from(sorted(files)))
    renamed = {new if path == old else path: content for path, content in files.items()}
    assert digest(renamed) != digest(files)


@pure
@given(file_sets, file_sets)
def test_equal_digests_mean_equal_trees(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (digest(one) == digest(other)) is (one == other)


@on_disk
@given(st.data(), trees)
def test_on_the_disk_the_order_of_creation_does_not_matter(
    data: st.DataObject, files: dict[str, bytes]
) -> None:
    shuffled = dict(data.draw(st.permutations(list(files.items()))))
    with tempfile.TemporaryDirectory() as temporary:
        one, other = Path(temporary, "one"), Path(temporary, "other")
        create(one, files)
        create(other, shuffled)
        assert digest_of(one) == digest_of(other) == digest(files) == oracle(one)


@on_disk
@given(st.data(), trees)
def test_on_the_disk_any_changed_byte_changes_the_digest(
    data: st.DataObject, files: dict[str, bytes]
) -> None:
    path = data.draw(st.sampled_from(sorted(files)))
    assume(files[path])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "alpha")
        create(folder, files)
        before = digest_of(folder)
        at = data.draw(st.integers(0, len(files[path]) - 1))
        with (folder / path).open("r+b") as file:
            file.seek(at)
            file.write(bytes([files[path][at] ^ data.draw(st.integers(1, 255))]))
        assert digest_of(folder) == oracle(folder) != before


@on_disk
@given(st.data(), trees, entries, contents)
def test_on_the_disk_any_addition_removal_or_rename_changes_the_digest(
    data: st.DataObject, files: dict[str, bytes], new: str, content: bytes
) -> None:
    assume(folded(new) not in map(folded, files))
    path = data.draw(st.sampled_from(sorted(files)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "alpha")
        create(folder, files)
        before = digest_of(folder)

        create(folder, {new: content})
        assert digest_of(folder) == oracle(folder) != before
        (folder / new).unlink()
        assert digest_of(folder) == before

        os.rename(folder / path, folder / new)
        assert digest_of(folder) == oracle(folder) != before
        (folder / new).unlink()
        assert digest_of(folder) == oracle(folder) != before


@on_disk
@given(trees, st.sampled_from(["m.pyc", "f/m.pyc", "__pycache__/m.py", "f/__pycache__/x/m.so"]))
def test_bytecode_never_counts(files: dict[str, bytes], planted: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "alpha")
        create(folder, files)
        before = digest_of(folder)
        create(folder, {planted: b"planted"})
        assert digest_of(folder) == before
