"""Since when, and the guess by times: bounded, and not misled by the content of the tree."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codegenie import _start
from codegenie.refusals import differences
from codegenie.refusals.differences import Differences, Guess, newer_than_lock
from codegenie.text import timestamp

LOCKED = 1_700_000_000
"""When the lock was modified. Change times cannot be set: they are those of the test, and the lock
is made last, so that only what a test touches afterwards is newer by its change time."""


class Tree:
    """A plugin whose files are all older than its lock."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "plugins"
        self.lock = self.root / "PLUGINS.lock"
        for path in ("api.py", "data/a.json", "data/deep/b.json", "zz.py"):
            self.write(path, LOCKED - 100)
        for path in ("", "data", "data/deep"):
            os.utime(self.root / "alpha" / path, (LOCKED - 100, LOCKED - 100))
        self.write_lock()

    def write_lock(self) -> None:
        # The clock of the file system is coarse: two changes may get the same change time. Written
        # until its change time is later than that of everything before it.
        before = max(path.lstat().st_ctime_ns for path in self.root.rglob("*"))
        while not self.lock.exists() or self.lock.stat().st_ctime_ns <= before:
            self.lock.write_text("{}")
            os.utime(self.lock, (LOCKED, LOCKED))

    def write(self, path: str, modified: float) -> Path:
        file = self.root / "alpha" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        os.utime(file, (modified, modified))
        return file

    def change(self, path: str, modified: float) -> Path:
        """Write a file so that its change time is later than the lock's."""
        file = self.write(path, modified)
        while file.stat().st_ctime_ns <= self.lock.stat().st_ctime_ns:
            os.utime(file, (modified, modified))
        return file

    def files(self) -> list[str]:
        folder = self.root / "alpha"
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()]

    def guess(self, files: list[str] | None = None) -> Guess:
        found = newer_than_lock(
            str(self.root), "alpha", self.files() if files is None else files, str(self.lock)
        )
        assert found is not None
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_nothing_is_newer(tree: Tree) -> None:
    found = tree.guess()
    assert (found.times, found.total, found.of_folders) == ({}, 0, False)


def test_a_modified_file_is_named_with_its_time(tree: Tree) -> None:
    tree.change("data/deep/b.json", LOCKED + 5)
    found = tree.guess()
    assert found.times == {"data/deep/b.json": LOCKED + 5}
    assert (found.total, found.looked_at, found.of_folders) == (1, 4, False)


def test_an_old_modification_time_does_not_hide_a_file(tree: Tree) -> None:
    """``cp -p`` and ``tar`` keep it; the change time is the kernel's."""
    file = tree.change("zz.py", LOCKED - 5000)
    assert tree.guess().times == {"zz.py": int(file.stat().st_ctime)}


def test_what_was_modified_comes_before_what_only_got_here(tree: Tree) -> None:
    for path in ("api.py", "data/a.json"):
        tree.change(path, LOCKED - 5000)
    tree.change("zz.py", LOCKED + 1)
    tree.change("data/deep/b.json", LOCKED + 9)
    found = tree.guess()
    assert list(found.times)[:2] == ["data/deep/b.json", "zz.py"]
    assert set(list(found.times)[2:]) == {"api.py", "data/a.json"}
    assert found.total == found.looked_at == 4


def test_the_newest_ten_of_many(tree: Tree) -> None:
    names = [f"m{number:04}.py" for number in range(600)]
    for number, name in enumerate(names):
        # As they are found, neither rising nor falling.
        tree.write(name, LOCKED + 1 + (number * 7919) % 600)
    found = tree.guess(names)
    assert list(found.times.values()) == [LOCKED + 600 - n for n in range(10)]
    assert (found.total, found.looked_at) == (600, 600)


def test_a_removed_file_is_guessed_from_its_folder(tree: Tree) -> None:
    (tree.root / "alpha/data/a.json").unlink()
    os.utime(tree.root / "alpha/data", (LOCKED + 7, LOCKED + 7))
    found = tree.guess()
    assert (found.times, found.total, found.of_folders) == ({"data/": LOCKED + 7}, 1, True)
    os.utime(tree.root / "alpha", (LOCKED + 8, LOCKED + 8))
    assert tree.guess().times == {"": LOCKED + 8, "data/": LOCKED + 7}


def test_without_a_lock_there_is_nothing_to_compare_with(tree: Tree) -> None:
    tree.lock.unlink()
    assert newer_than_lock(str(tree.root), "alpha", ["api.py"], str(tree.lock)) is None
    assert differences.written(str(tree.lock)) is None


def test_a_link_in_place_of_the_lock_is_not_followed(tree: Tree) -> None:
    target = tree.lock.rename(tree.root / "other")
    tree.lock.symlink_to(target)
    assert differences.written(str(tree.lock)) != LOCKED


def vanish(tree: Tree, outside: Path) -> None:
    (tree.root / "alpha/data/deep/b.json").unlink()


def link_in_place_of_the_file(tree: Tree, outside: Path) -> None:
    vanish(tree, outside)
    (tree.root / "alpha/data/deep/b.json").symlink_to(outside / "deep/b.json")


def link_in_place_of_a_folder(tree: Tree, outside: Path) -> None:
    (tree.root / "alpha/data").rename(outside.parent / "moved")
    (tree.root / "alpha/data").symlink_to(outside)


def link_in_place_of_the_plugin(tree: Tree, outside: Path) -> None:
    (tree.root / "alpha").rename(outside.parent / "moved")
    (tree.root / "alpha").symlink_to(outside.parent / "elsewhere")


def fifo_in_place_of_a_folder(tree: Tree, outside: Path) -> None:
    (tree.root / "alpha/data").rename(outside.parent / "moved")
    os.mkfifo(tree.root / "alpha/data")


@pytest.mark.parametrize(
    "exchange",
    [
        vanish,
        link_in_place_of_the_file,
        link_in_place_of_a_folder,
        link_in_place_of_the_plugin,
        fifo_in_place_of_a_folder,
    ],
)
def test_what_is_exchanged_after_the_walk_leads_nowhere(
    tree: Tree, tmp_path: Path, exchange: Callable[[Tree, Path], None]
) -> None:
    """Behind every link lies a file of a year that no other one has."""
    files = tree.files()
    for path in ("outside/deep/b.json", "elsewhere/data/deep/b.json"):
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text("x")
        os.utime(file, (4_000_000_000, 4_000_000_000))
    exchange(tree, tmp_path / "outside")
    found = tree.guess(files)
    assert 4_000_000_000 not in found.times.values()
    known = Differences(files, [], [])
    known.date(str(tree.root), "alpha", str(tree.lock))
    assert 4_000_000_000 not in known.times.values()
    location = f"{tree.root}/alpha/data/deep/b.json"
    assert differences.last_change(str(tree.root), location, str(tree.lock)) != 4_000_000_000


def test_a_fifo_in_place_of_a_file_does_not_make_it_wait(tree: Tree) -> None:
    files = tree.files()
    (tree.root / "alpha/api.py").unlink()
    os.mkfifo(tree.root / "alpha/api.py")
    os.utime(tree.root / "alpha/api.py", (LOCKED + 3, LOCKED + 3))
    assert tree.guess(files).times == {"api.py": LOCKED + 3}


def test_the_root_itself_may_be_a_link(tree: Tree, tmp_path: Path) -> None:
    tree.change("api.py", LOCKED + 5)
    (tmp_path / "current").symlink_to(tree.root)
    root = str(tmp_path / "current")
    found = newer_than_lock(root, "alpha", tree.files(), f"{root}/PLUGINS.lock")
    assert found is not None
    assert found.times == {"api.py": LOCKED + 5}


@pytest.mark.parametrize("modified", [-(2**40), -1, 0, 2**33, 2**40])
def test_each_possible_file_time_can_be_shown(tree: Tree, modified: int) -> None:
    file = tree.root / "alpha" / "api.py"
    try:
        os.utime(file, (modified, modified))
    except OverflowError:
        pytest.skip("this platform's files cannot have that time")
    found = tree.guess()
    assert all(timestamp(seconds) for seconds in found.times.values())


def test_a_time_is_iso_8601_in_utc() -> None:
    assert timestamp(LOCKED) == "2023-11-14T22:13:20Z"
    assert timestamp(-1) == "1969-12-31T23:59:59Z"
    assert timestamp(253402300800) == "10000-01-01T00:00:00Z"
    assert timestamp(2**80) == f"@{2**80}"


def test_known_files_get_their_times(tree: Tree) -> None:
    file = tree.change("api.py", LOCKED - 5000)
    tree.change("data/new.json", LOCKED + 60)
    known = Differences(["api.py"], ["data/new.json"], ["gone.py"])
    known.date(str(tree.root), "alpha", str(tree.lock))
    assert known.times == {"api.py": int(file.stat().st_ctime), "data/new.json": LOCKED + 60}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_difference_of_any_kind_is_a_difference(which: int) -> None:
    lists: list[list[str]] = [[], [], []]
    lists[which] = ["f"]
    assert Differences(*lists)
    assert len(Differences(*lists)) == 1
    assert not Differences([], [], [])


def test_names_are_utf_8_and_may_hold_other_bytes(tree: Tree) -> None:
    tree.write("é/日本.py", LOCKED + 2)
    location = f"{tree.root}/alpha/\udcff"
    with open(location, "w"):
        pass
    os.utime(location, (LOCKED + 4, LOCKED + 4))
    assert tree.guess(["é/日本.py"]).times == {"é/日本.py": LOCKED + 2}
    assert differences.last_change(str(tree.root), location, str(tree.lock)) == LOCKED + 4


def test_what_lies_elsewhere_is_not_looked_at(tree: Tree) -> None:
    for location in ("/etc/passwd", "plugins", str(tree.root), f"{tree.root}x/a", ""):
        assert differences.last_change(str(tree.root), location, str(tree.lock)) is None
    assert differences.last_change(str(tree.root), str(tree.lock), str(tree.lock)) == LOCKED


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_no_descriptor_stays_open(tree: Tree) -> None:
    before = descriptors()
    tree.guess(["data/deep/b.json", "missing/x", "data/a.json", "api.py", "data/deep/no"])
    assert descriptors() == before


def test_a_large_tree_costs_one_look_per_file_and_no_memory(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the walk are there already; beside them, only the ten newest are kept."""
    many = 30_000
    status = os.lstat(tree.change("api.py", LOCKED + 5))
    looked = 0

    def lstat(path: str | bytes, **options: int) -> os.stat_result:
        nonlocal looked
        looked += 1
        return os.lstat(path, **options) if path == str(tree.lock) else status

    monkeypatch.setattr(_start, "lstat", lstat)

    def files() -> Iterator[str]:
        for number in range(many):
            yield f"data/{number:06}.json"

    tracemalloc.start()
    try:
        found = newer_than_lock(str(tree.root), "alpha", files(), str(tree.lock))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found is not None
    assert (found.total, len(found.times), looked) == (many, 10, many + 1)
    assert peak < 200_000
