"""The folders of a verified tree."""

from __future__ import annotations

import pytest

from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.integrity.walk import Tree


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        ((), {""}),
        (("api.py",), {""}),
        (("a/b/c/x.py", "a/y.py", "d/z.py"), {"", "a", "a/b", "a/b/c", "d"}),
    ],
)
def test_each_folder_above_a_file_is_one_of_the_tree(
    files: tuple[str, ...], folders: set[str]
) -> None:
    tree = Tree({path: (bytes(32), 0) for path in files})
    assert VerifiedTree("/plugins", "alpha", tree).folders == folders


def test_a_unit_that_is_one_file_has_no_folder() -> None:
    tree = Tree({"tool.py": (bytes(32), 0)}, is_file=True)
    assert VerifiedTree("/plugins", "tool.py", tree).folders == frozenset()
