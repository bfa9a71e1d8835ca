"""Files that anyone can write who can write to the folder cost little, whatever they hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.authoring import file_sections
from codegenie.integrity import file_list, walk
from codegenie.result import Ok
from tests.fixtures.command_line import in_process
from tests.fixtures.trees import Application, oracle

MEBIBYTE = 1024 * 1024

measured = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, for a peak of memory")

# The peak of this very program: what getrusage says includes the process that started it.
PEAK = """
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))
"""

MEASURE = (
    PEAK
    + """
import runpy, sys
sys.argv = ["codegenie", *sys.argv[1:]]
try:
    runpy.run_module("codegenie", run_name="__main__", alter_sys=True)
finally:
    print("MEMORY", peak(), file=sys.stderr)
"""
)


def memory(application: Application, *arguments: str, status: int) -> int:
    """Return the mebibytes that a command takes."""
    outcome = application.start([sys.executable, "-c", MEASURE, *arguments])
    assert outcome.status == status, outcome
    return int(outcome.stderr.rpartition("MEMORY ")[2])


def sparse(path: Path, size: int) -> None:
    path.write_bytes(b"")
    os.truncate(path, size)


@measured
@pytest.mark.parametrize("command", ["lock", "list", "verify", "diff"])
def test_a_large_manifest_is_not_read(application: Application, command: str) -> None:
    application.write("alpha/helper.py", "VALUE = 43\n")
    before = memory(
        application, "plugins", command, "plugins", status=0 if command in ("lock", "list") else 4
    )
    sparse(application.plugin / "plugin.yaml", 512 * MEBIBYTE)
    after = memory(
        application, "plugins", command, "plugins", status=0 if command in ("lock", "list") else 4
    )
    assert after - before < 64


def test_a_locked_manifest_may_not_be_large_either(application: Application) -> None:
    sparse(application.plugin / "plugin.yaml", walk.LARGE + 1)
    application.lock()
    result = application.start([sys.executable, "-m", "codegenie", "plugins", "load", "plugins"])
    assert result.status == 4
    assert "has a plugin.yaml that is larger than 65536 bytes [schema_violation]" in result.stderr


FILE_LISTS: dict[str, Callable[[int], bytes]] = {
    "line-feeds": lambda size: b"\n" * size,
    "one-line": lambda size: b"0" * size,
    "one-path": lambda size: b"0" * 64 + b"  alpha/" + b"x" * size,
    "other-plugins": lambda size: (b"0" * 64 + b"  beta/x.py\n") * (size // 76),
    "short-paths": lambda size: b"".join(
        b"0" * 64 + b"  alpha/%x\n" % number for number in range(size // 80)
    ),
    "separators": lambda size: b"  alpha/" * (size // 8),
}


@measured
@pytest.mark.parametrize("kind", FILE_LISTS)
def test_a_large_file_list_does_not_fill_the_memory(application: Application, kind: str) -> None:
    application.write("alpha/helper.py", "VALUE = 43\n")
    script = (
        PEAK
        + """
try:
    import plugins.alpha.api
except ImportError as error:
    print(error.refusal.kind)
print(peak())
"""
    )
    kinds, before = application.run(script).stdout.split()
    (application.root / "PLUGINS.sha256").write_bytes(FILE_LISTS[kind](60 * MEBIBYTE))
    found, after = application.run(script).stdout.split()
    assert kinds == found == "integrity_mismatch"
    assert int(after) - int(before) < 80


@measured
@pytest.mark.parametrize("kind", FILE_LISTS)
def test_a_large_file_list_does_not_stop_a_lock_of_one(application: Application, kind: str) -> None:
    """Lines of the others are kept, which is the whole file; what is no line costs nothing."""
    (application.root / "PLUGINS.sha256").write_bytes(FILE_LISTS[kind](20 * MEBIBYTE))
    application.write("alpha/helper.py", "VALUE = 43\n")
    assert memory(application, "plugins", "lock", "plugins", "alpha", status=0) < 300
    assert json.loads(application.lock_path.read_text()) == {"alpha": oracle(application.plugin)}


def test_a_long_section_is_not_kept(application: Application) -> None:
    lines = [f"{'0' * 64}  alpha/{'x' * 200}{number}\n" for number in range(70_000)]
    (application.root / "PLUGINS.sha256").write_text("".join(lines))
    assert file_list.read_section(str(application.root), "alpha", "0" * 64) is None


def test_a_section_across_blocks_is_read_whole(application: Application) -> None:
    """Blocks end anywhere: in a digest, between the blanks, in a name."""
    for number in range(300):
        application.write(f"alpha/{'é' * 60}{number:04}.txt", "x")
    files = walk.walk(str(application.root), "alpha").unwrap()
    own = file_list.render("alpha", files)
    for filler in range(0, 200, 7):
        other = b"0" * 64 + b"  beta/" + b"y" * filler + b"\n"
        lines = other * (MEBIBYTE // len(other)) + own
        (application.root / "PLUGINS.sha256").write_bytes(lines)
        found = file_list.read_section(str(application.root), "alpha", files.digest)
        assert found == {path: record[0] for path, record in files.files.items()}


def test_a_merge_takes_a_time_that_grows_with_its_lines(application: Application) -> None:
    """Joined one by one, these lines take an hour."""
    for name, count in (("base", 1), ("ours", 1), ("theirs", 300_000)):
        lines = (f"{number:064x}  alpha/{'d' * 40}/{number}\n" for number in range(count))
        (application.folder / name).write_text("".join(lines))
    command = [sys.executable, "-P", "-m", "codegenie", "plugins", "merge-lock"]
    outcome = application.start([*command, "base", "ours", "theirs", "plugins/PLUGINS.sha256"])
    assert outcome.status == 0, outcome
    merged = (application.folder / "ours").read_bytes()
    assert merged == (application.folder / "theirs").read_bytes()


def test_a_merge_of_plugins_in_turns_is_a_merge(application: Application) -> None:
    lines = [f"{number:064x}  {'ab'[number % 2]}/{number}\n" for number in range(10)]
    (application.folder / "f").write_text("".join(lines))
    found = file_sections.read_sections(str(application.folder / "f"), strict=True)
    assert found == Ok({"a": "".join(lines[::2]).encode(), "b": "".join(lines[1::2]).encode()})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "0" * 64,
        "0" * 63 + "  a/x",
        "0" * 64 + " a/x",
        "0" * 64 + "  a/",
        "0" * 64 + "  .git/x",
        "A" * 64 + "  a/x",
        "0" * 64 + "  /x",
        "\r",
    ],
)
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_what_is_no_line_is_an_error_or_left_out(tmp_path: Path, line: str, where: str) -> None:
    good = [f"{'1' * 64}  a/x\n", f"{'2' * 64}  b/y\n"]
    at = {"first": 0, "middle": 1, "last": 2}[where]
    (tmp_path / "f").write_text("".join([*good[:at], line + "\n", *good[at:]]))
    strict = file_sections.read_sections(str(tmp_path / "f"), strict=True)
    assert strict.unwrap_err() == file_sections.MALFORMED
    lenient = file_sections.read_sections(str(tmp_path / "f"), strict=False)
    assert lenient == Ok({"a": good[0].encode(), "b": good[1].encode()})


@pytest.mark.parametrize("kind", ["file", "folder", "bytecode"])
def test_a_tree_has_a_limit_of_entries(
    application: Application, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Bytecode and empty folders are in no digest, and cost a start as much."""
    present = len(list(application.plugin.iterdir()))
    monkeypatch.setattr(walk, "MAX_ENTRIES", present + 5)
    many = application.plugin / "many"
    many.mkdir()
    for number in range(5):
        assert isinstance(walk.walk(str(application.root), "alpha"), Ok)
        path = many / f"{number}{'.pyc' if kind == 'bytecode' else ''}"
        path.mkdir() if kind == "folder" else path.touch()
    refused = walk.walk(str(application.root), "alpha").unwrap_err()
    assert refused.kind == "unhashable_tree"
    assert refused.evidence["detail"] == f"is in a tree of more than {present + 5} entries"
    assert refused.location == str(many)


def test_files_beside_the_plugins_are_in_no_list(application: Application) -> None:
    names = [f"{number}.txt" for number in range(1000)]
    for name in names:
        (application.root / name).touch()
    assert [entry.name for entry in walk.root_entries(str(application.root)).unwrap()] == ["alpha"]


@pytest.mark.parametrize("kind", ["module", "folder", "link"])
def test_the_guarded_folder_has_a_limit_of_entries(
    application: Application, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(walk, "MAX_ROOT_ENTRIES", 5)
    for number in range(5):
        assert isinstance(walk.root_entries(str(application.root)), Ok)
        path = application.root / f"m{number}{'.py' if kind == 'module' else ''}"
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("alpha")
        else:
            path.touch()
    refused = walk.root_entries(str(application.root)).unwrap_err()
    assert refused.kind == "lock_file_malformed"
    assert refused.evidence["detail"] == (
        f"the plugin folder {application.root} has more than 5 importable entries"
    )


def test_too_many_entries_beside_the_plugins_are_refused(application: Application) -> None:
    for number in range(walk.MAX_ROOT_ENTRIES):
        (application.root / f"m{number}.py").touch()
    problem = f"has more than {walk.MAX_ROOT_ENTRIES} importable entries"
    for command in ("lock", "verify", "list", "diff"):
        outcome = in_process(application.folder, "plugins", command, "plugins")
        shown = outcome.stdout + outcome.stderr
        assert outcome.status != 0, command
        assert problem in shown, command
        assert len(shown.splitlines()) <= 12, command
    imported = application.run("import plugins.alpha")
    assert problem in imported.stderr
    assert "PluginImportRefused" in imported.stderr
    for number in range(walk.MAX_ROOT_ENTRIES):
        (application.root / f"m{number}.py").unlink()
    assert application.run("import plugins.alpha").status == 0


@measured
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to another user")
def test_an_index_of_another_user_is_not_read(application: Application) -> None:
    command = [sys.executable, "-P", "-m", "codegenie", "plugins", "compile", "plugins"]
    assert subprocess.run(command, cwd=application.folder, check=False).returncode == 0
    (index,) = (application.root / "PLUGINS.bytecode").rglob("*.index")
    sparse(index, 60 * MEBIBYTE)
    os.chown(index, 12345, -1)
    script = (
        PEAK
        + """
import codegenie.plugins.guard as guard, plugins.alpha.api
print(guard.status().bytecode["alpha"]["reason"])
print(peak())
"""
    )
    outcome = application.run(script)
    reason, used = outcome.stdout.splitlines()
    assert reason == "the index belongs to another user than the lock"
    assert int(used) < 60
