"""Objects are known by which they are, and only while they live."""

from __future__ import annotations

import gc

from codegenie._enforce.identities import IdentityMap


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_an_equal_object_is_another_one() -> None:
    known = IdentityMap()
    first, second = Equal(), Equal()
    known.add(first, "first")
    assert known.get(first) == "first"
    assert known.get(second) is None
    assert known.has(first)
    assert not known.has(second)


def test_an_object_without_a_value_is_remembered() -> None:
    known = IdentityMap()
    item = Equal()
    known.add(item)
    assert known.get(item) is True


def test_an_object_is_forgotten_when_it_is_gone() -> None:
    shared: dict[int, object] = {}
    known = IdentityMap(shared)  # type: ignore[arg-type]
    item = compile("", "", "exec")
    known.add(item)
    assert len(shared) == 1
    del item
    gc.collect()
    assert shared == {}


def test_the_latest_value_counts() -> None:
    known = IdentityMap()
    item = Equal()
    known.add(item, 1)
    known.add(item, 2)
    gc.collect()
    assert known.get(item) == 2


def test_an_object_without_weak_references_is_not_remembered() -> None:
    known = IdentityMap()
    known.add(None)
    known.add("text")
    assert not known.has(None)
    assert not known.has("text")
