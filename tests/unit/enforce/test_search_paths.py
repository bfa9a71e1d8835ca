"""The search path of the dynamic linker, apart from the entries of the objects themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegenie._enforce import search_paths
from codegenie._enforce.search_paths import LinkerCache
from tests.fixtures.machine_code import COMPILER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the linker of Linux")

ROOT = "/srv/app/plugins"


def is_guarded(path: str) -> bool:
    return os.path.realpath(path).startswith(f"{ROOT}/")


def cache(*paths: str) -> LinkerCache:
    """Return a cache of glibc: a header, then the names and paths, each with a zero byte at its
    end."""
    strings = b"".join(f"{Path(path).name}\0{path}\0".encode() for path in paths)
    return LinkerCache((), b"glibc-ld.so.cache1.1\x01\x00\x00\x00\x00" + strings)


def test_a_folder_of_the_cache_that_is_guarded_is_found() -> None:
    found = cache("/lib/libz.so.1", f"{ROOT}/alpha/lib/libx.so", "/opt/lib/liby.so")
    assert found.folders_in(ROOT, is_guarded) == [f"{ROOT}/alpha/lib"]
    assert found.folders_in("/other", lambda path: False) == []


def test_a_folder_of_the_cache_is_followed_through_links(tmp_path: Path) -> None:
    guarded, link = tmp_path / "plugins" / "alpha", tmp_path / "link"
    guarded.mkdir(parents=True)
    link.symlink_to(guarded)
    found = cache(f"{link}/libx.so").folders_in(
        str(tmp_path), lambda path: os.path.realpath(path).startswith(f"{guarded}/")
    )
    assert found == [str(link)]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("libz.so.1", "/lib/libz.so.1"),
        ("libz.so", ""),
        ("z.so.1", ""),
        ("", ""),
        ("libä.so", "/opt/libä.so"),
    ],
)
def test_a_name_is_found_whole_or_not_at_all(name: str, path: str) -> None:
    assert cache("/lib/libz.so.1", "/opt/libä.so").path_of(name) == path


def test_the_cache_of_this_system_is_read_again_only_when_it_changes() -> None:
    if not Path(search_paths.LINKER_CACHE).exists():
        pytest.skip("this system's linker has no cache")
    assert search_paths._read_linker_cache()
    before = search_paths._linker_cache[0]
    assert search_paths._read_linker_cache()
    assert search_paths._linker_cache[0] is before
    path = search_paths.system_path_of("libc.so.6")
    assert path is not None
    assert Path(path).exists()


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        pytest.param(["-Wl,-rpath,$ORIGIN/../lib:/opt"], ["/lib", "/opt"], id="rpath"),
        pytest.param(["-Wl,-rpath,/opt", "-Wl,--enable-new-dtags"], [], id="runpath"),
        pytest.param([], [], id="none"),
    ],
)
def test_only_the_rpath_of_the_program_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], found: list[str]
) -> None:
    """Leave out a ``RUNPATH``, which serves the program's own libraries alone."""
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    source = tmp_path / "program.c"
    source.write_text("int main(void) { return 0; }\n")
    options = ["-Wl,--disable-new-dtags", *flags, "-o", str(program), str(source)]
    subprocess.run([str(COMPILER), *options], check=True)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(search_paths, "_is_program_read", False)
    monkeypatch.setattr(search_paths, "_program_entries", [])
    entries = search_paths.program_entries()
    assert [entry.path.removeprefix(str(tmp_path)) for entry in entries] == found
    program.unlink()
    assert search_paths.program_entries() is entries  # the program is read once


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("/lib", "/lib", 1),
        ("", "", 1),
        ("$ORIGIN/../lib", "/bin/../lib", 1),
        ("${ORIGIN}/x", "/bin/x", 1),
        ("/usr/$LIB", "/usr/lib", 3),
        ("${PLATFORM}", os.uname().machine, 3),
        ("/$LIB/${PLATFORM}", f"/lib/{os.uname().machine}", 9),
        ("/$OTHER", "/$OTHER", 1),
    ],
)
def test_what_the_linker_replaces_is_given_its_values(text: str, first: str, count: int) -> None:
    found = search_paths.expansions(text, "/bin")
    assert (found[0], len(found)) == (first, count)


def test_a_library_that_is_not_there_is_said_in_the_linkers_words() -> None:
    assert search_paths.system_path_of("libnot-there.so") is None
    said = str(search_paths.not_found("libnot-there.so"))
    assert said == "libnot-there.so: cannot open shared object file: No such file or directory"
