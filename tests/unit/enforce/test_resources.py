"""Entries of a verified tree as resources."""

from __future__ import annotations

from typing import Any

from codegenie._enforce.resources import VerifiedEntry
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.integrity.walk import Tree

ACCESS: Any = None  # only reading needs it


def tree_of(*files: str) -> VerifiedTree:
    return VerifiedTree("/plugins", "alpha", Tree({path: (bytes(32), 0) for path in files}))


def test_an_entry_is_shown_by_its_path() -> None:
    entry = VerifiedEntry(ACCESS, tree_of("data/words.txt"), "data/words.txt", "plugins.alpha")
    assert str(entry) == "/plugins/alpha/data/words.txt"
    assert repr(entry) == "<verified '/plugins/alpha/data/words.txt'>"


def test_entries_of_one_tree_are_equal_by_their_path() -> None:
    tree = tree_of("a.txt", "b.txt")
    first = VerifiedEntry(ACCESS, tree, "a.txt", "plugins.alpha")
    same = VerifiedEntry(ACCESS, tree, "a.txt", "plugins.alpha.api")
    assert first == same
    assert hash(first) == hash(same)
    assert first != VerifiedEntry(ACCESS, tree, "b.txt", "plugins.alpha")
    assert first != VerifiedEntry(ACCESS, tree_of("a.txt", "b.txt"), "a.txt", "plugins.alpha")
    assert first != "a.txt"
