"""The digest does not depend on the order of the walk: on the pure function and end to end."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from codegenie.hashing import tree_digest_of_files
from codegenie.plugins.loader import compute_plugin_tree_digest

NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=12)
FILES = st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=5)


@given(FILES, st.randoms())
def test_the_pure_function_ignores_the_order(files: dict[str, bytes], random: object) -> None:
    pairs = list(files.items())
    random.shuffle(pairs)  # type: ignore[attr-defined]
    assert tree_digest_of_files(pairs) == tree_digest_of_files(sorted(files.items()))


@given(FILES)
def test_the_walk_ignores_the_order_of_creation(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for folder, pairs in ((first, files.items()), (second, reversed(files.items()))):
            for name, data in pairs:
                Path(folder, name).write_bytes(data)
        digests = {compute_plugin_tree_digest(Path(f)).unwrap() for f in (first, second)}
    assert digests == {tree_digest_of_files(files.items())}
