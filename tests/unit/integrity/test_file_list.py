"""``PLUGINS.sha256``: explains a mismatch, never allows anything."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.hashing import tree_digest_of_digests
from codegenie.integrity import file_list, walk
from tests.fixtures.trees import Application, oracle

LIMIT = 64 * 1024 * 1024


def files_of(application: Application, plugin: str) -> walk.Tree:
    return walk.walk(str(application.root), plugin).unwrap()


def write_list(application: Application) -> None:
    sections = [file_list.render(name, files_of(application, name)) for name in ("alpha", "beta")]
    file_list.write_file_list(str(application.root), b"".join(sections))


@pytest.fixture
def explained(application: Application) -> Application:
    """Two locked plugins, with the sidecar that belongs to them."""
    application.add_plugin("beta", {"sub/é ü.txt": "data\n"})
    application.lock()
    write_list(application)
    return application


def path_of(application: Application) -> Path:
    return application.root / "PLUGINS.sha256"


def section(application: Application, plugin: str) -> dict[str, bytes] | None:
    """Return the section of a plugin, where the lock pins the tree that is there now."""
    return file_list.read_section(str(application.root), plugin, oracle(application.root / plugin))


def raw_digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_sha256sum_reads_it(explained: Application) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "PLUGINS.sha256"],
        cwd=explained.root,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done
    assert done.stdout.count(": OK\n") == 7
    assert len(path_of(explained).read_bytes().splitlines()) == 7


def test_its_lines_are_digest_plugin_and_path_in_order(explained: Application) -> None:
    expected = "".join(
        f"{raw_digest(explained.root / path).hex()}  {path}\n"
        for path in (
            "alpha/api.py",
            "alpha/helper.py",
            "alpha/plugin.yaml",
            "beta/api.py",
            "beta/helper.py",
            "beta/plugin.yaml",
            "beta/sub/é ü.txt",
        )
    )
    assert path_of(explained).read_text() == expected


def test_a_unit_without_files_has_no_lines() -> None:
    assert file_list.render("alpha", walk.Tree({})) == b""


@pytest.mark.parametrize("plugin", ["alpha", "beta"])
def test_a_section_that_reproduces_the_digest_is_believed(
    explained: Application, plugin: str
) -> None:
    folder = explained.root / plugin
    assert section(explained, plugin) == {
        path.relative_to(folder).as_posix(): raw_digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_section_of_another_tree_is_not_believed(explained: Application) -> None:
    root = str(explained.root)
    assert file_list.read_section(root, "alpha", oracle(explained.root / "beta")) is None
    assert file_list.read_section(root, "gamma", oracle(explained.root / "beta")) is None


def change_a_digit(data: bytes) -> bytes:
    first = b"0" if data[:1] != b"0" else b"1"
    return first + data[1:]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "line-missing": lambda data: data.partition(b"\n")[2],
    "line-added": lambda data: data + b"0" * 64 + b"  alpha/new.py\n",
    "line-twice": lambda data: data + data.partition(b"\n")[0] + b"\n",
    "path-twice": lambda data: b"0" * 64 + b"  alpha/api.py\n" + data,
    "digest-changed": change_a_digit,
    "digest-upper-case": lambda data: data[:64].upper() + data[64:],
    "digest-short": lambda data: data[1:],
    "digest-not-ascii": lambda data: b"\xff" + data[1:],
    "path-changed": lambda data: data.replace(b"alpha/api.py", b"alpha/apj.py"),
    "path-not-utf-8": lambda data: data + b"0" * 64 + b"  alpha/\xff\n",
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "binary-marker": lambda data: data.replace(b"  ", b" *"),
    "one-space": lambda data: data.replace(b"  ", b" "),
    "byte-order-mark": lambda data: b"\xef\xbb\xbf" + data,
    "null-bytes": lambda data: b"\0" * len(data),
    "cut-off": lambda data: data[:100],
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_damaged_section_explains_nothing(
    explained: Application, damage: Callable[[bytes], bytes]
) -> None:
    path = path_of(explained)
    whole = path.read_bytes()
    assert section(explained, "alpha") is not None
    damaged = damage(whole)
    assert damaged != whole
    path.write_bytes(damaged)
    assert section(explained, "alpha") is None
    root, expected = str(explained.root), oracle(explained.plugin)
    assert file_list.explain(root, "alpha", expected, files_of(explained, "alpha").files) is None


@pytest.mark.parametrize(
    "extra",
    [
        b"# a comment\n",
        b"\n\n",
        b"nonsense\n",
        b"0" * 64 + b"  beta/unknown.py\n",
        b"\xff\xfe  beta/x\n",
        b"0" * 64 + b"  alphabet/x.py\n",
    ],
)
def test_lines_of_no_plugin_and_of_others_do_not_matter(
    explained: Application, extra: bytes
) -> None:
    path = path_of(explained)
    path.write_bytes(extra + path.read_bytes() + extra)
    assert section(explained, "alpha") is not None


def test_the_order_of_lines_does_not_matter(explained: Application) -> None:
    path = path_of(explained)
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    assert section(explained, "alpha") is not None


@pytest.mark.parametrize("kind", ["missing", "link", "fifo", "folder", "oversize"])
def test_what_is_no_plain_file_explains_nothing(explained: Application, kind: str) -> None:
    path = path_of(explained)
    moved = path.rename(path.with_name("moved"))
    if kind == "link":
        path.symlink_to(moved)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "oversize":
        path.write_bytes(moved.read_bytes())
        os.truncate(path, LIMIT + 1)
    assert section(explained, "alpha") is None


def believed(application: Application, data: bytes, files: dict[str, bytes]) -> bool:
    """Return True if a file list is used for a tree that has these files."""
    path_of(application).write_bytes(data)
    expected = tree_digest_of_digests(files.items())
    found = file_list.read_section(str(application.root), "alpha", expected)
    assert found in (None, files)
    return found is not None


def lines_of(files: dict[str, bytes]) -> bytes:
    return b"".join(f"{files[path].hex()}  alpha/{path}\n".encode() for path in files)


@pytest.mark.parametrize(("over", "used"), [(0, True), (1, False)])
def test_the_size_of_the_file_is_limited(explained: Application, over: int, used: bool) -> None:
    data = path_of(explained).read_bytes()
    path_of(explained).write_bytes(data + b"\n" * (LIMIT + over - len(data)))
    assert (section(explained, "alpha") is not None) is used


@pytest.mark.parametrize(("over", "used"), [(0, True), (1, False)])
def test_the_size_of_a_section_is_limited(explained: Application, over: int, used: bool) -> None:
    """Count the digest, the slash and the path of each line."""
    path = "x" * (8192 - 64 - len("/0000"))
    files = {f"{number:04}{path}": bytes(32) for number in range(1023)}
    files[f"last{path}" + "x" * over] = bytes(32)
    assert believed(explained, lines_of(files), files) is used


@pytest.mark.parametrize(("over", "used"), [(0, True), (1, False)])
def test_the_size_of_a_line_is_limited(explained: Application, over: int, used: bool) -> None:
    files = {"x" * (64 * 1024 - 64 - len("  alpha/") + over): bytes(32)}
    assert believed(explained, lines_of(files).rstrip(), files) is used


def test_blanks_after_the_first_two_belong_to_the_path(explained: Application) -> None:
    files = {"a  alpha/b": bytes(32), "  alpha": bytes(32), "c  alpha": bytes(32)}
    assert believed(explained, lines_of(files), files)


def test_what_differs_is_named(explained: Application) -> None:
    expected = oracle(explained.plugin)
    explained.write("alpha/api.py", "changed = 1\n")
    explained.write("alpha/a_new.py", "")
    explained.write("alpha/sub/new.py", "")
    (explained.plugin / "helper.py").unlink()
    found = files_of(explained, "alpha")
    differences = file_list.explain(str(explained.root), "alpha", expected, found.files)
    assert differences is not None
    assert differences.changed == ("api.py",)
    assert differences.added == ("a_new.py", "sub/new.py")
    assert differences.removed == ("helper.py",)


def test_a_renamed_file_vanished_and_appeared(explained: Application) -> None:
    expected = oracle(explained.plugin)
    (explained.plugin / "helper.py").rename(explained.plugin / "helped.py")
    found = files_of(explained, "alpha")
    differences = file_list.explain(str(explained.root), "alpha", expected, found.files)
    assert differences is not None
    assert (differences.changed, differences.added, differences.removed) == (
        (),
        ("helped.py",),
        ("helper.py",),
    )


def test_a_tree_that_is_as_it_was_does_not_differ(explained: Application) -> None:
    found = files_of(explained, "alpha")
    differences = file_list.explain(str(explained.root), "alpha", found.digest, found.files)
    assert differences is not None
    assert not differences


def test_it_is_written_as_a_file_of_the_folder(explained: Application) -> None:
    path = path_of(explained)
    path.chmod(0o640)
    file_list.write_file_list(str(explained.root), b"new\n")
    assert path.read_bytes() == b"new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(os.listdir(explained.root)) == [
        "PLUGINS.lock",
        "PLUGINS.sha256",
        "alpha",
        "beta",
    ]


def test_a_sidecar_that_lies_allows_nothing(explained: Application) -> None:
    """An attacker who changed the file can rewrite the list as well; the lock decides all the
    same."""
    explained.write("alpha/helper.py", "VALUE = 43\n")
    write_list(explained)
    outcome = explained.run("import plugins.alpha.api", report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert outcome.refusal["rejection"]["actual"] == oracle(explained.plugin)
    assert "  changed " not in outcome.refusal["message"]
    assert "  newer " in outcome.refusal["message"]
    assert outcome.executed == ()


def test_an_honest_sidecar_names_the_file_in_the_refusal(explained: Application) -> None:
    explained.write("alpha/helper.py", "VALUE = 43\n")
    outcome = explained.run("import plugins.alpha.api", report=True)
    assert "  changed   helper.py  " in outcome.refusal["message"]
    assert "  newer " not in outcome.refusal["message"]
    assert "api.py" not in outcome.refusal["message"].replace("plugins.alpha.api", "")
    assert outcome.executed == ()
