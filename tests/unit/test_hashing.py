"""The line format of the tree digest, as a pure function."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from codegenie.hashing import file_digest, tree_digest_of_digests, tree_digest_of_files

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Written down once from what ``sha256sum`` printed, not computed by the code under test.
GOLDEN = [
    pytest.param([], EMPTY, id="no-files"),
    pytest.param(
        [("empty", b"")],
        "a9e456cbcd4f490b6f3353ce720a3f4f9bb381b27fc060d3aee4e70ee7b37f3d",
        id="one-empty-file",
    ),
    pytest.param(
        [("api.py", b"x = 1\n"), ("plugin.yaml", b"name: alpha\n")],
        "bfa0dc1a76c126feb954622541305052a09a88ba6ec35ca6e85c9ca37117d054",
        id="two-files",
    ),
    pytest.param(
        [("B", b"1"), ("a", b"2"), ("a-b", b"3"), ("a/b", b"4"), ("\u00e9", b"5")],
        "f4470980c1af82e0f51524f45a4d7b0fa328f152a06caad698cb6e2903617216",
        id="byte-order-of-the-paths",
    ),
    pytest.param(
        [("\uffee", b"1"), ("\U00010000", b"2")],
        "a0fa896167974a7aff7783a07a398cf5bd17aedc04eb181bde51b2135ab39a44",
        id="beyond-the-basic-plane-sorts-as-utf-8",
    ),
]


@pytest.mark.parametrize(("files", "digest"), GOLDEN)
def test_golden_digests(files: list[tuple[str, bytes]], digest: str) -> None:
    assert tree_digest_of_files(files) == digest


@pytest.mark.parametrize(("files", "digest"), GOLDEN)
def test_the_order_in_which_files_are_given_does_not_matter(
    files: list[tuple[str, bytes]], digest: str
) -> None:
    assert {tree_digest_of_files(p) for p in itertools.permutations(files)} == {digest}


def test_files_may_come_from_a_generator() -> None:
    files = [("a", b"1"), ("b", b"2")]
    assert tree_digest_of_files(pair for pair in files) == tree_digest_of_files(files)


def test_the_two_entrances_agree() -> None:
    files = [("a", b"1"), ("b/c", b"")]
    digests = [(path, hashlib.sha256(data).digest()) for path, data in files]
    assert tree_digest_of_digests(digests) == tree_digest_of_files(files)


def test_a_file_digest_is_raw() -> None:
    assert file_digest(b"").hex() == EMPTY
    assert file_digest(b"a") == hashlib.sha256(b"a").digest()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param([("a", b"1"), ("a", b"1")], "'a' is given twice", id="same-bytes"),
        pytest.param([("a", b"1"), ("a", b"2")], "'a' is given twice", id="other-bytes"),
        pytest.param(
            [("b", b""), ("a", b""), ("c", b""), ("b", b"")], "'b' is given twice", id="apart"
        ),
        pytest.param([("a\n", b"")], "holds a line feed", id="line-feed"),
        pytest.param(
            # Otherwise this one file would have the digest of two.
            [(f"a\n{EMPTY}  b", b"")],
            "holds a line feed",
            id="line-feed-that-forges-a-second-file",
        ),
    ],
)
def test_what_the_format_cannot_hold_is_refused(
    files: list[tuple[str, bytes]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tree_digest_of_files(files)


def test_a_path_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        tree_digest_of_files([("\udcff", b"")])


def test_line_endings_are_bytes_like_any_other() -> None:
    assert tree_digest_of_files([("a", b"x\n")]) != tree_digest_of_files([("a", b"x\r\n")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([("a", b"bc")], [("ab", b"c")], id="path-and-content"),
        pytest.param([("a", b"1"), ("b", b"2")], [("a", b"2"), ("b", b"1")], id="swapped"),
        pytest.param([("a", b"")], [], id="an-empty-file-counts"),
        pytest.param([("a/b", b"")], [("b", b"")], id="another-folder"),
        pytest.param([("\u00e9", b"")], [("e\u0301", b"")], id="another-spelling"),
    ],
)
def test_different_trees_differ(
    one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]
) -> None:
    assert tree_digest_of_files(one) != tree_digest_of_files(other)
