"""The line format of the tree digest, as a pure function."""

from __future__ import annotations

import _hashlib
import _imp
import hashlib
import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from codegenie import hashing
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


def of_python(data: bytes = b"") -> Any:
    return hashlib.sha256(data)


@pytest.mark.parametrize(
    ("module", "candidate"),
    [
        pytest.param("_hashlib", of_python, id="python-code-with-the-right-answer"),
        pytest.param("sys", _hashlib.openssl_sha256, id="of-another-module"),
        pytest.param("_hashlib", _hashlib.openssl_sha512, id="another-answer"),
    ],
)
def test_an_implementation_that_is_not_genuine_is_passed_over(
    module: str, candidate: Callable[..., Any]
) -> None:
    assert hashing._genuine(iter([(module, candidate)])) is None
    genuine = ("_hashlib", _hashlib.openssl_sha256)
    assert hashing._genuine(iter([(module, candidate), genuine])) is _hashlib.openssl_sha256


@pytest.fixture
def slower() -> hashing._Engine:
    """Return an engine that uses CPython's own hash, as in a process without OpenSSL."""
    engine = hashing._Engine()
    engine._is_slower = True
    engine.new = of_python
    return engine


def test_openssl_is_used_from_a_number_of_bytes_on(slower: hashing._Engine) -> None:
    slower.expect(hashing.SWITCH_AFTER)
    assert slower.new is of_python
    slower.expect(1)
    assert slower.new is _hashlib.openssl_sha256
    slower.new = of_python
    slower.expect(1)
    assert slower.new is of_python  # it does not look again


def test_openssl_is_used_at_once_where_the_application_has_loaded_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hashing._Engine().new is _hashlib.openssl_sha256
    monkeypatch.delitem(sys.modules, "_hashlib")
    own: Any = hashing._Engine().new
    assert own.__self__.__name__ in ("_sha2", "_sha256")
    assert "_hashlib" not in sys.modules


def test_openssl_is_not_loaded_under_the_import_lock(slower: hashing._Engine) -> None:
    _imp.acquire_lock()
    try:
        slower.expect(hashing.SWITCH_AFTER + 1)
        assert slower.new is of_python
    finally:
        _imp.release_lock()
    slower.expect(0)
    assert slower.new is _hashlib.openssl_sha256


def test_without_a_genuine_hash_the_module_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashing, "_genuine", lambda *_: None)
    with pytest.raises(ImportError, match="no SHA-256"):
        hashing._Engine()
    with pytest.raises(ImportError, match="no SHA-512"):
        hashing.sha512_digest(b"")
