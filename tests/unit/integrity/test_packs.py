"""Reading an entry of a pack, whatever its index says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codegenie.integrity.packs import Pack

DIGEST = "0" * 64


@pytest.mark.parametrize(
    "place",
    [f"0 {10**13}", f"0 {2**62}", f"{2**70} 1", "-1 5", "0 -1", f"0 {'9' * 5000}", "0", "0 1 2"],
)
def test_a_place_that_is_not_in_the_pack_is_no_entry(tmp_path: Path, place: str) -> None:
    path = tmp_path / "alpha.pack"
    path.write_bytes(b"entry")
    pack = Pack(str(path), {"api.py": f"{place} {DIGEST}"})
    assert pack.read("api.py") is None
    assert pack.reason


@pytest.mark.parametrize("entry", [None, 5, [], {}])
def test_what_is_no_text_is_no_entry(entry: Any) -> None:
    pack = Pack("nowhere", {"api.py": entry})
    assert pack.read("api.py") is None
    assert pack.reason == "the index is damaged"
