"""The walk over a plugin's folder: section 3 of the rules (docs/reference/rules.md)."""

from __future__ import annotations

import _thread
import ast
import hashlib
import os
import signal
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from codegenie import hashing
from codegenie.integrity import large_files, walk
from codegenie.plugins.errors import SymlinkEscape, UnhashableTree
from codegenie.plugins.loader import compute_plugin_tree_digest
from codegenie.refusals.record import Refusal
from codegenie.result import Ok
from tests.fixtures.trees import Application, oracle

# The contract's own command, with the folder as its argument.
SHELL_LINE = r"""
set -o pipefail
cd "$1" && find . -type f ! -path '*/__pycache__/*' ! -path '*/.git/*' \
    ! -name .git ! -name '*.pyc' -printf '%P\n' \
  | LC_ALL=C sort | xargs -rd '\n' sha256sum -- | sha256sum
"""

SHELL_LINE_OF_A_FILE = """
set -o pipefail
cd "$1" && sha256sum -- "$2" | sha256sum
"""

DROP_PRIVILEGES = """
import os
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
"""The superuser can read everything. A child keeps its imports and its working directory."""

needs_descriptor_folder = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="open descriptors are counted in /proc"
)


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """Fail a walk that waits for ever, because the run would never end."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return a plugin's folder with a file at two levels, which no test changes."""
    folder = tmp_path / "alpha"
    fill(folder, {"api.py": b"x = 1\n", "sub/module.py": b"y = 2\n"})
    return folder


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def digest_of(folder: Path) -> str:
    return walk.walk(str(folder.parent), folder.name).unwrap().digest


def refusal_of(folder: Path) -> Refusal:
    return walk.walk(str(folder.parent), folder.name).unwrap_err()


def shell(folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", SHELL_LINE, "bash", str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[0]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def assert_unhashable(folder: Path, where: str, detail: str) -> None:
    """The refusal, as a record and as the model of the public function, with its evidence."""
    found = refusal_of(folder)
    path = f"{folder}/{where}" if where else str(folder)
    assert found.kind == "unhashable_tree"
    assert found.plugin == folder.name
    assert found.evidence == {"offending_path": path, "detail": detail}
    assert found.location == path
    rejection = compute_plugin_tree_digest(folder).unwrap_err()
    assert isinstance(rejection, UnhashableTree)
    assert (rejection.plugin, rejection.offending_path) == (folder.name, Path(path))
    assert rejection.detail == detail


def assert_symlink_escape(folder: Path, where: str) -> None:
    found = refusal_of(folder)
    path = f"{folder}/{where}" if where else str(folder)
    assert found.kind == "symlink_escape"
    assert found.plugin == folder.name
    assert found.evidence == {"offending_path": path}
    rejection = compute_plugin_tree_digest(folder).unwrap_err()
    assert isinstance(rejection, SymlinkEscape)
    assert (rejection.plugin, rejection.offending_path) == (folder.name, Path(path))
    assert rejection.offending_path.is_absolute()


# --- what the digest is -------------------------------------------------------------------------

SHAPES: dict[str, dict[str, bytes]] = {
    "one-file": {"plugin.yaml": b"name: alpha\n"},
    "an-empty-file": {"plugin.yaml": b""},
    "several-levels": {"a.py": b"1", "b/a.py": b"2", "b/c/a.py": b"3", "b/c/d/e/f/a": b"4"},
    "order-of-bytes": {"B": b"1", "a": b"2", "a-b": b"3", "a.b/x": b"4", "a0": b"5", "a=": b"6"}
    | {"_": b"7", "Z/y": b"8", "c-d": b"9", "c/d": b"10"},
    "not-ascii": {"é.py": b"1", "ü/ß.py": b"2", "日本/語": b"3", "\U0001f600": b"4", "z": b"5"},
    "beyond-the-basic-plane": {"\uffee": b"1", "\U00010000": b"2"},
    "odd-but-allowed": {" x": b"1", "x ": b"2", "a b": b"3", "$(x)": b"4", "'\"": b"5", "*": b"6"}
    | {"é ": b"7", "\u00a0": b"8", "\u200b": b"9", "\u2028": b"10", "a\u0301\u0302": b"11"},
    "binary": {"x": bytes(range(256)), "y": b"\0" * 5000, "z": b"\xff\xfe"},
    "hidden": {".hidden": b"1", ".config/git": b"2"},
    "empty-folders": {"a/x": b"1"},
    "bytecode": {
        "a.py": b"1",
        "a.pyc": b"2",
        "__pycache__/a.cpython-311.pyc": b"3",
        "__pycache__/a.py": b"4",
        "sub/__pycache__/deep/x.py": b"5",
        "sub/x.pyc": b"6",
        "sub/x.pyo": b"7",
        "sub/.pyc": b"8",
        "x.pyc.py": b"9",
        "__pycache__x/a": b"10",
        "x__pycache__/a": b"11",
        "X.PYC": b"12",
    },
    "a-folder-named-like-bytecode": {"x.pyc/a.py": b"1", "x.pyc/b.pyc": b"2", "y/.pyc/c": b"3"},
    "a-file-named-like-the-cache": {"__pycache__": b"1", "sub/__pycache__": b"2", "a": b"3"},
}
# If ``pathlib`` and the shell disagree on what ends in ``.pyc``, the contract's command decides.
ORACLE_DISAGREES = {"bytecode"}


@pytest.mark.skipif(sys.platform != "linux", reason="the command needs GNU find and xargs")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_digest_is_the_one_that_the_shell_computes(tmp_path: Path, shape: str) -> None:
    folder = tmp_path / "alpha"
    fill(folder, SHAPES[shape])
    (folder / "empty" / "below").mkdir(parents=True)
    assert digest_of(folder) == shell(folder)
    assert compute_plugin_tree_digest(folder) == Ok(shell(folder))


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - ORACLE_DISAGREES))
def test_the_digest_is_the_one_that_the_contract_words(tmp_path: Path, shape: str) -> None:
    folder = tmp_path / "alpha"
    fill(folder, SHAPES[shape])
    assert digest_of(folder) == oracle(folder)
    assert compute_plugin_tree_digest(folder) == Ok(oracle(folder))


def test_the_digest_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """Written down once. If this changes, every lock in the world is wrong."""
    folder = tmp_path / "alpha"
    fill(folder, SHAPES["several-levels"])
    assert digest_of(folder) == "2426aaf154303d0fa81ee981930b21816a7c60f55f1c9ec39117c4ee112207f0"


def test_a_folder_without_files_has_the_digest_of_no_lines(tmp_path: Path) -> None:
    folder = tmp_path / "alpha"
    (folder / "empty").mkdir(parents=True)
    walked = walk.walk(str(tmp_path), "alpha").unwrap()
    assert walked.files == {}
    assert walked.digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_walk_lists_paths_digests_and_sizes(plugin: Path) -> None:
    fill(plugin, {"__pycache__/api.cpython-311.pyc": b"0", "old.pyc": b"1"})
    walked = walk.walk(str(plugin.parent), plugin.name).unwrap()
    assert {path: (data.hex()[:8], size) for path, (data, size) in walked.files.items()} == {
        "api.py": ("9e26bf36", 6),
        "sub/module.py": ("f4698427", 6),
    }


def test_only_the_content_counts(plugin: Path) -> None:
    """Neither times nor modes nor empty folders nor the order of creation are in the digest."""
    before = digest_of(plugin)
    os.utime(plugin / "api.py", (1, 1))
    (plugin / "api.py").chmod(0o700)
    (plugin / "empty").mkdir()
    assert digest_of(plugin) == before


def test_line_endings_are_not_translated(tmp_path: Path) -> None:
    for name, data in (("lf", b"a\nb\n"), ("crlf", b"a\r\nb\r\n"), ("cr", b"a\rb\r")):
        fill(tmp_path / name, {"x.py": data})
    assert len({digest_of(tmp_path / name) for name in ("lf", "crlf", "cr")}) == 3
    assert all(digest_of(tmp_path / n) == oracle(tmp_path / n) for n in ("lf", "crlf", "cr"))


@pytest.mark.parametrize(
    "name",
    [
        "api.pyc",
        ".pyc",
        "__pycache__/api.cpython-311.pyc",
        "__pycache__/planted.py",
        "__pycache__/deep/planted.py",
        "sub/module.pyc",
        "sub/__pycache__/module.cpython-311.pyc",
        "sub/__pycache__/planted.so",
    ],
)
def test_bytecode_does_not_count_at_any_level(plugin: Path, name: str) -> None:
    before = digest_of(plugin)
    fill(plugin, {name: b"planted"})
    walked = walk.walk(str(plugin.parent), plugin.name).unwrap()
    assert walked.digest == before
    assert walked.files.keys() == {"api.py", "sub/module.py"}


@pytest.mark.parametrize(
    "name", ["x.pyc/a.py", "sub/x.pyc/a.py", "__pycache__", "sub/__pycache__", "x.PYC", "x.pyo"]
)
def test_what_only_looks_like_bytecode_counts(plugin: Path, name: str) -> None:
    before = digest_of(plugin)
    fill(plugin, {name: b"counts"})
    walked = walk.walk(str(plugin.parent), plugin.name).unwrap()
    assert walked.digest != before
    assert name in walked.files


# --- links --------------------------------------------------------------------------------------

LINKS = {
    "to-a-file": ("link.py", "api.py"),
    "to-a-file-outside": ("link.py", "/etc/hostname"),
    "to-a-folder": ("link", "sub"),
    "to-a-folder-outside": ("link", "/etc"),
    "to-the-plugin": ("link", "."),
    "to-the-folder-above": ("link", ".."),
    "dangling": ("link.py", "nowhere"),
    "loop": ("link", "link"),
    "below": ("sub/link.py", "module.py"),
    "named-like-bytecode": ("link.pyc", "api.py"),
    "named-like-the-cache": ("__pycache__", "sub"),
    "hidden": (".link", "api.py"),
    "to-a-fifo": ("link", "/dev/stdin"),
}


@pytest.mark.parametrize(("name", "target"), LINKS.values(), ids=LINKS)
def test_a_link_is_refused_by_its_absolute_path(plugin: Path, name: str, target: str) -> None:
    (plugin / name).symlink_to(target)
    assert_symlink_escape(plugin, name)


@pytest.mark.parametrize("target", ["real", "nowhere", "alpha"])
def test_a_link_in_the_place_of_the_plugin_is_refused(tmp_path: Path, target: str) -> None:
    fill(tmp_path / "real", {"api.py": b""})
    (tmp_path / "alpha").symlink_to(target)
    assert_symlink_escape(tmp_path / "alpha", "")


def test_a_link_above_the_plugin_is_the_users_business(tmp_path: Path, plugin: Path) -> None:
    """The plugin folder may be reached through a link; only the files below a plugin count."""
    (tmp_path / "linked").symlink_to(tmp_path)
    assert digest_of(tmp_path / "linked" / "alpha") == digest_of(plugin)


def test_a_hard_link_is_a_file(plugin: Path) -> None:
    (plugin / "hard.py").hardlink_to(plugin / "api.py")
    assert digest_of(plugin) == oracle(plugin)


# --- what cannot be hashed ----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["pipe", "sub/pipe", "pipe.pyc", "__pycache__", "pipe.py"])
def test_a_fifo_is_refused_and_never_waited_for(plugin: Path, where: str) -> None:
    os.mkfifo(plugin / where)
    assert_unhashable(plugin, where, "is a FIFO")


def test_a_socket_is_refused(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plugin / "sub")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket")
    assert_unhashable(plugin, "sub/socket", "is a socket")


def test_a_device_is_refused(plugin: Path) -> None:
    try:
        os.mknod(plugin / "null", 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device node needs a privilege that this process does not have")
    assert_unhashable(plugin, "null", "is a character device")


@pytest.mark.parametrize(
    ("mode", "target", "where", "detail"),
    [
        pytest.param(0, "sub/secret.py", "/sub/secret.py", "cannot be opened", id="file"),
        pytest.param(0, "sub", "/sub", "cannot be opened", id="folder"),
        pytest.param(0o311, "sub", "/sub", "cannot be opened", id="folder-not-listable"),
        pytest.param(0o644, "sub", "/sub/module.py", "cannot be opened", id="folder-not-entered"),
        pytest.param(0, "", "", "cannot be opened", id="plugin"),
    ],
)
def test_what_cannot_be_read_is_refused(
    application: Application, mode: int, target: str, where: str, detail: str
) -> None:
    folder = application.plugin
    fill(folder, {"sub/module.py": b"y = 2\n", "sub/secret.py": b"z = 3\n"})
    application.folder.chmod(0o755)
    application.root.chmod(0o755)
    folder.chmod(0o755)
    (folder / target).chmod(mode)
    try:
        outcome = application.run(
            "from codegenie.integrity import walk\n"
            + DROP_PRIVILEGES
            + "refusal = walk.walk('plugins', 'alpha').unwrap_err()\n"
            "print(refusal.kind)\n"
            "print(refusal.evidence['offending_path'])\n"
            "print(refusal.evidence['detail'])\n",
            guarded=False,
        )
    finally:
        (folder / target).chmod(0o755)
    assert outcome.stdout.splitlines() == [
        "unhashable_tree",
        f"plugins/alpha{where}",
        f"{detail}: permission denied",
    ], outcome


def test_findings_go_on_after_each_refused_entry(application: Application) -> None:
    folder = application.plugin
    fill(folder, {"a/file.py": b"", "b/file.py": b"", "c/file.py": b"", "z.py": b""})
    (folder / "c" / "link").symlink_to("file.py")
    for closed in ("a", "b", "z.py"):
        (folder / closed).chmod(0)
    application.folder.chmod(0o755)
    try:
        outcome = application.run(
            "from codegenie.integrity import walk\n" + DROP_PRIVILEGES + "for most in (10, 2):\n"
            "    found = walk.findings('plugins', 'alpha', most)\n"
            "    print(*(refusal.evidence['offending_path'][14:] for refusal in found))\n",
            guarded=False,
        )
    finally:
        for closed in ("a", "b", "z.py"):
            (folder / closed).chmod(0o755)
    assert outcome.stdout.splitlines() == ["z.py a b c/link", "z.py a"], outcome


def test_a_unit_that_is_neither_folder_nor_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alpha")
    assert_unhashable(tmp_path / "alpha", "", "is a FIFO, not a folder or a file")


SINGLE_FILES = {
    "module": ("tool.py", b"x = 1\n"),
    "root-module": ("__init__.py", b""),
    "machine-code": ("_fast.cpython-313-x86_64-linux-gnu.so", b"\x7fELF"),
    "spaces-and-quotes": ("a 'b' \"c\" $(d).py", b"1"),
    "leading-dash": ("-n.py", b"1"),
    "not-ascii": ("größe 猫.py", b"1"),
    "large": ("large.bin", b"x" * (walk.LARGE + 1)),
}


@pytest.mark.parametrize(("name", "data"), SINGLE_FILES.values(), ids=SINGLE_FILES)
def test_a_single_file_is_a_tree_of_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = walk.walk(str(tmp_path), name).unwrap()
    assert found.is_file
    assert found.files == {name: (hashlib.sha256(data).digest(), len(data))}
    by_shell = subprocess.run(
        ["bash", "-c", SHELL_LINE_OF_A_FILE, "bash", tmp_path, name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.digest == by_shell.stdout.split()[0]
    assert compute_plugin_tree_digest(tmp_path / name).unwrap() == found.digest


def test_bytecode_is_no_unit(tmp_path: Path) -> None:
    (tmp_path / "alpha.pyc").write_bytes(b"")
    assert_unhashable(tmp_path / "alpha.pyc", "", "is bytecode, which is in no digest")


def test_a_single_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alpha.py").symlink_to("elsewhere.py")
    assert_symlink_escape(tmp_path / "alpha.py", "")


def test_what_git_keeps_is_left_out_at_any_depth(plugin: Path) -> None:
    expected = oracle(plugin)
    fill(plugin, {".git/hooks/post.py": b"1", "sub/.git": b"gitdir: ../.git", ".gitignore": b""})
    (plugin / ".gitignore").unlink()
    (plugin / ".git" / "hooks" / "link").symlink_to("/")
    assert digest_of(plugin) == expected == shell(plugin)
    assert not any(".git" in path for path in walk.walk(str(plugin.parent), "alpha").unwrap().files)


def test_what_begins_like_git_counts(plugin: Path) -> None:
    fill(plugin, {".github/a.py": b"1", ".gitignore": b"2", "x.git/b": b"3", ".GIT/c": b"4"})
    found = walk.walk(str(plugin.parent), "alpha").unwrap()
    assert {".github/a.py", ".gitignore", "x.git/b", ".GIT/c"} <= found.files.keys()
    assert found.digest == shell(plugin)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path / "alpha")
    assert (refusal.kind, refusal.plugin, refusal.evidence) == (
        "missing_plugin_directory",
        "alpha",
        {},
    )
    rejection = compute_plugin_tree_digest(tmp_path / "alpha").unwrap_err()
    assert isinstance(rejection, UnhashableTree)
    assert rejection.offending_path == tmp_path / "alpha"
    assert rejection.detail == "does not exist"


CONTROL_CHARACTERS = [
    *("\x01", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f"),
    *("\x80", "\x85", "\x9b", "\x9f"),
]


@pytest.mark.parametrize("character", CONTROL_CHARACTERS, ids=ascii)
@pytest.mark.parametrize("kind", ["file", "folder", "bytecode"])
def test_a_control_character_in_a_name_is_refused(plugin: Path, character: str, kind: str) -> None:
    """The path is shown escaped: a message must not carry what the name was refused for."""
    name = f"a{character}b" + (".pyc" if kind == "bytecode" else "")
    (plugin / "sub" / name).mkdir() if kind == "folder" else fill(plugin, {f"sub/{name}": b""})
    shown = refusal_of(plugin).evidence["offending_path"].removeprefix(f"{plugin}/sub/")
    assert shown.isprintable()
    assert ast.literal_eval(f"'{shown}'") == name
    assert_unhashable(plugin, f"sub/{shown}", "has a control character in its name")


@pytest.mark.parametrize("name", ["\u00a0", "\u00ad", "\u2028", "\u202e", "\ufeff", " "])
def test_what_is_no_control_character_is_hashed(plugin: Path, name: str) -> None:
    """Odd, and for reviewers to see; but the line format holds it."""
    assert unicodedata.category(name) != "Cc"
    fill(plugin, {name: b""})
    assert digest_of(plugin) == oracle(plugin)


@pytest.mark.parametrize("name", ["a\\b", "\\", "sub/a\\nb", "a\\"])
def test_a_backslash_in_a_name_is_refused(plugin: Path, name: str) -> None:
    fill(plugin, {name: b""})
    assert_unhashable(plugin, name, "has a backslash in its name")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [(b"\xff.py", r"\xff.py"), (b"caf\xe9", r"caf\xe9"), (b"\xed\xb3\xbf", r"\xed\xb3\xbf")],
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_is_not_utf_8_is_refused(
    plugin: Path, raw: bytes, shown: str, kind: str
) -> None:
    path = os.path.join(os.fsencode(plugin), b"sub", raw)
    try:
        if kind == "folder":
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system refuses such names itself")
    assert_unhashable(plugin, f"sub/{shown}", "has a name that is not UTF-8")


COLLISIONS = {
    "case": ("README", "readme"),
    "case-of-the-extension": ("a.PY", "a.py"),
    "sharp-s": ("stra\u00dfe", "STRASSE"),
    "capital-sharp-s": ("\u1e9e", "ss"),
    "final-sigma": ("\u03c3", "\u03c2"),
    "ligature": ("\ufb01", "fi"),
    "kelvin-sign": ("\u212a", "k"),
    "long-s": ("\u017f", "S"),
    "dotted-i": ("\u0130", "i\u0307"),
    "composed-and-decomposed": ("\u00e9.py", "e\u0301.py"),
    "composed-and-decomposed-upper": ("\u00c9.py", "e\u0301.py"),
    "hangul": ("\ud55c", "\u1112\u1161\u11ab"),
    "angstrom-sign": ("\u212b", "\u00e5"),
    "caron": ("\u01f0", "J\u030c"),
}


@pytest.mark.parametrize(("one", "other"), COLLISIONS.values(), ids=COLLISIONS)
@pytest.mark.parametrize("kinds", ["files", "folders", "both"])
def test_names_that_some_file_system_takes_for_one_are_refused(
    plugin: Path, one: str, other: str, kinds: str
) -> None:
    folder = plugin / "sub"
    try:
        for name, is_folder in ((one, kinds == "folders"), (other, kinds != "files")):
            (folder / name).mkdir() if is_folder else (folder / name).touch(exist_ok=False)
    except FileExistsError:
        pytest.skip("this file system takes them for one itself")
    first, second = sorted((one, other))
    assert_unhashable(
        plugin, f"sub/{second}", f"and {first!r} are one name on file systems that fold case"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("A/x", "B/x"),
        ("a/X", "b/x"),
        ("\u0131", "i"),
        ("\u00e9", "e"),
        ("a", "a.py"),
        ("\u2460", "1"),
    ],
)
def test_names_that_no_file_system_takes_for_one_are_hashed(
    plugin: Path, names: tuple[str, str]
) -> None:
    fill(plugin, dict.fromkeys(names, b""))
    assert digest_of(plugin) == oracle(plugin)


def test_the_same_hostile_tree_is_refused_for_the_same_entry(tmp_path: Path) -> None:
    """The order in which entries were made, which a file system may keep, decides nothing."""
    names = ["pipe-b", "pipe-a", "pipe-c"]
    for folder, order in (("one", names), ("two", names[::-1])):
        (tmp_path / folder).mkdir()
        for name in order:
            os.mkfifo(tmp_path / folder / name)
        assert_unhashable(tmp_path / folder, "pipe-a", "is a FIFO")


# --- depth, descriptors, memory -----------------------------------------------------------------


def nest(folder: Path, depth: int) -> None:
    """Folders below each other, far deeper than a path can be long."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Return a plugin's folder that is removed by a tool that does not recurse."""
    folder = tmp_path / "deep"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_the_deepest_tree_that_is_hashed(deep: Path) -> None:
    nest(deep, 128)
    walked = walk.walk(str(deep.parent), "deep").unwrap()
    assert list(walked.files) == ["d/" * 128 + "leaf"]
    assert walked.digest == oracle(deep)


@needs_descriptor_folder
@pytest.mark.parametrize("depth", [129, 5000])
def test_a_deeper_tree_is_refused(deep: Path, depth: int) -> None:
    nest(deep, depth)
    before = descriptors()
    assert_unhashable(deep, "/".join(["d"] * 129), "is more than 128 folders deep")
    assert descriptors() == before


def test_the_walk_does_not_recurse(application: Application) -> None:
    """Fewer frames than folders are enough."""
    nest(application.plugin, 128)
    outcome = application.run(
        """
        import sys
        from codegenie.integrity import large_files, walk
        sys.setrecursionlimit(40)
        print(walk.walk("plugins", "alpha").unwrap().digest)
        """,
        guarded=False,
    )
    assert outcome.stdout == oracle(application.plugin) + "\n", outcome


def test_a_lack_of_descriptors_is_a_refusal(application: Application) -> None:
    nest(application.plugin, 100)
    outcome = application.run(
        """
        import os, resource
        from codegenie.integrity import large_files, walk
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
        refusal = walk.walk("plugins", "alpha").unwrap_err()
        print(refusal.kind, refusal.evidence["detail"].rpartition(": ")[2])
        """,
        guarded=False,
    )
    assert outcome.stdout == "unhashable_tree too many open files\n", outcome


@needs_descriptor_folder
@pytest.mark.parametrize("where", ["", "sub/", "sub/below/"])
@pytest.mark.parametrize("hostile", ["link", "fifo", "name", "collision"])
def test_no_descriptor_is_left_after_a_refusal(plugin: Path, where: str, hostile: str) -> None:
    (plugin / "sub" / "below").mkdir()
    match hostile:
        case "link":
            (plugin / where / "link").symlink_to("x")
        case "fifo":
            os.mkfifo(plugin / where / "pipe")
        case "name":
            fill(plugin, {f"{where}a\\b": b""})
        case _:
            fill(plugin, {f"{where}x": b"", f"{where}X": b""})
    before = descriptors()
    assert refusal_of(plugin).kind in ("symlink_escape", "unhashable_tree")
    assert descriptors() == before


@needs_descriptor_folder
def test_no_descriptor_is_left_after_a_walk(plugin: Path) -> None:
    before = descriptors()
    assert digest_of(plugin) == oracle(plugin)
    assert descriptors() == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit that holds, and /proc")
def test_a_large_file_is_streamed(application: Application) -> None:
    """A file of 256 MiB is hashed with 32 MiB to spare, in which reading it whole fails."""
    with (application.plugin / "large.bin").open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    outcome = application.run(
        """
        import resource
        from codegenie.integrity import large_files, walk
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + 32 * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            open("plugins/alpha/large.bin", "rb").read()
        except MemoryError:
            print("too large")
        walked = walk.walk("plugins", "alpha").unwrap()
        print(walked.files["large.bin"][1], walked.files["large.bin"][0].hex())
        """,
        guarded=False,
    )
    zeros = "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484"
    assert outcome.stdout == f"too large\n{256 * 1024 * 1024} {zeros}\n", outcome


@pytest.mark.parametrize("size", [walk.LARGE - 1, walk.LARGE, walk.LARGE + 1, 3 * walk.LARGE])
def test_files_around_the_size_of_a_chunk(plugin: Path, size: int) -> None:
    fill(plugin, {"data": os.urandom(size)})
    walked = walk.walk(str(plugin.parent), plugin.name).unwrap()
    assert walked.files["data"][1] == size
    assert walked.digest == oracle(plugin)


# --- other encodings of the file system -----------------------------------------------------------

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the encoding is always UTF-8")
def test_names_that_are_not_ascii_work_without_a_utf_8_locale(tmp_path: Path) -> None:
    folder = tmp_path / "plügins-日本"
    folder.mkdir()
    application = Application(folder)
    fill(application.plugin, SHAPES["not-ascii"])
    outcome = application.run(
        """
        import sys
        from pathlib import Path
        from codegenie.integrity import large_files, walk
        from codegenie.plugins.loader import compute_plugin_tree_digest
        print(sys.getfilesystemencoding())
        print(walk.walk("plugins", "alpha").unwrap().digest)
        print(compute_plugin_tree_digest(Path("plugins", "alpha")).unwrap())
        print(ascii(sorted(walk.walk("plugins", "alpha").unwrap().files)[-1]))
        """,
        guarded=False,
        environment=ASCII,
    )
    expected = oracle(application.plugin)
    assert outcome.stdout.splitlines() == [
        "ascii",
        expected,
        expected,
        ascii("\U0001f600"),
    ], outcome


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the encoding is always UTF-8")
@pytest.mark.parametrize(
    ("one", "other"), [("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE"), ("\u00c9", "\u00e9")]
)
def test_the_same_names_collide_without_a_utf_8_locale(
    application: Application, one: str, other: str
) -> None:
    fill(application.plugin, {one: b"", other: b""})
    outcome = application.run(
        """
        import sys
        from pathlib import Path
        from codegenie.plugins.loader import compute_plugin_tree_digest
        rejection = compute_plugin_tree_digest(Path("plugins", "alpha")).unwrap_err()
        print(sys.getfilesystemencoding(), rejection.kind)
        print(ascii(rejection.offending_path.name))
        """,
        guarded=False,
        environment=ASCII,
    )
    encoding, name = outcome.stdout.splitlines()
    assert encoding == "ascii unhashable_tree"
    assert name in (ascii(one), ascii(other))


# --- what is exchanged during the walk ------------------------------------------------------------


@contextmanager
def just_before(call: object, name: str, action: Callable[[], None]) -> Iterator[None]:
    """Run ``action`` once, immediately before the walk opens (or reads) the entry of that name."""
    pending = [action]

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument is call and pending:
            scope = frame.f_locals
            path = scope.get("path") or getattr(scope.get("file"), "path", "")
            if str(path).rpartition("/")[2] == name:
                pending.pop()()

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not pending, "the walk did not come by"


@pytest.mark.parametrize(
    ("change", "detail"),
    [("grow", "changed while it was read"), ("shrink", "changed while it was read")],
)
@pytest.mark.parametrize("size", [10, walk.LARGE + 10])
def test_a_file_that_changes_its_size_while_it_is_read_is_refused(
    plugin: Path, change: str, detail: str, size: int
) -> None:
    path = plugin / "data"
    path.write_bytes(b"x" * size)

    def change_size() -> None:
        os.truncate(path, size + 1 if change == "grow" else 5)

    with just_before(os.pread if size < walk.LARGE else os.preadv, "data", change_size):
        refusal = refusal_of(plugin)
    assert refusal.kind == "unhashable_tree"
    assert refusal.evidence == {"offending_path": str(path), "detail": detail}


@pytest.mark.parametrize("count", [1, 6, 7, 20])
def test_small_files_wait_until_the_hash_is_chosen(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "_hashlib", raising=False)
        engine = hashing._Engine()  # of a process that has not loaded OpenSSL
    used: set[str] = set()

    def sha256(data: bytes) -> object:
        used.add(engine.new.__self__.__name__)  # type: ignore[attr-defined]
        return engine.new(data)

    monkeypatch.setattr(walk, "expect", engine.expect)
    monkeypatch.setattr(walk, "sha256", sha256)
    contents = {f"{number:02}.txt": bytes([number]) * 40_000 for number in range(count)}
    for name, data in contents.items():
        (plugin / name).write_bytes(data)
    files = walk.walk(str(plugin.parent), plugin.name).unwrap().files
    for name, data in contents.items():
        assert files[name] == (hashlib.sha256(data).digest(), 40_000)
    if count * 40_000 > hashing.SWITCH_AFTER:
        assert used == {"_hashlib"}
    else:
        assert "_hashlib" not in used


def test_large_files_have_the_digests_that_small_ones_would(plugin: Path) -> None:
    """More of them than are kept open, of odd sizes, among small ones."""
    for number in range(2 * walk.MAX_OPEN + 3):
        (plugin / f"large{number}").write_bytes(bytes([number]) * (walk.LARGE + number))
        (plugin / f"small{number}").write_bytes(bytes([number]) * number)
    assert walk.walk(str(plugin.parent), plugin.name).unwrap().digest == oracle(plugin)


def test_a_large_file_that_cannot_be_read_has_a_failure(plugin: Path) -> None:
    folder = large_files.LargeFile("folder", os.open(plugin, os.O_RDONLY), 10)
    file = large_files.LargeFile("file", os.open(plugin / "api.py", os.O_RDONLY), 6)
    large_files.hash_all([file, folder])
    assert (folder.digest, folder.failure) == (b"", "cannot be read: is a directory")
    assert (file.digest, file.failure) == (hashlib.sha256(b"x = 1\n").digest(), "")


def test_one_large_file_that_fails_closes_all_the_others(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_files, "_processors", lambda: 1)  # in this thread, to be seen
    for number in range(4):
        (plugin / f"large{number}").write_bytes(b"x" * walk.LARGE)
    before = len(os.listdir("/proc/self/fd"))
    with just_before(os.preadv, "large0", lambda: os.truncate(plugin / "large0", 5)):
        refusal = refusal_of(plugin)
    assert refusal.evidence["detail"] == "changed while it was read"
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("size", "asked"), [(large_files.BYTES_PER_THREAD, 1), (walk.LARGE, 0)], ids=["worth", "not"]
)
def test_without_threads_large_files_are_hashed_all_the_same(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, size: int, asked: int
) -> None:
    """If hashing takes less time than starting a thread, no thread is started."""
    threads: list[object] = []

    def none(*given: object) -> None:
        threads.append(given)
        raise RuntimeError("can't start new thread")

    for number in range(4):
        (plugin / f"large{number}").write_bytes(bytes([number]) * size)
    monkeypatch.setattr(large_files, "_processors", lambda: 2)
    monkeypatch.setattr(_thread, "start_new_thread", none)
    assert walk.walk(str(plugin.parent), plugin.name).unwrap().digest == oracle(plugin)
    assert len(threads) == asked


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "nothing"])
def test_a_file_that_is_exchanged_between_listing_and_opening_is_refused(
    tmp_path: Path, plugin: Path, kind: str
) -> None:
    path = plugin / "api.py"
    (tmp_path / "outside").write_bytes(b"x = 1\n")  # the very bytes: only the link is at fault

    def exchange() -> None:
        path.unlink()
        if kind == "link":
            path.symlink_to(tmp_path / "outside")
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()

    with just_before(os.open, "api.py", exchange):
        refusal = refusal_of(plugin)
    assert refusal.kind in ("unhashable_tree", "symlink_escape")
    assert refusal.evidence["offending_path"] == str(path)


@pytest.mark.parametrize("kind", ["link", "fifo", "file"])
def test_a_folder_that_is_exchanged_between_listing_and_opening_is_refused(
    tmp_path: Path, plugin: Path, kind: str
) -> None:
    outside = tmp_path / "outside"

    def exchange() -> None:
        (plugin / "sub").rename(outside)
        if kind == "link":
            (plugin / "sub").symlink_to(outside)
        elif kind == "fifo":
            os.mkfifo(plugin / "sub")
        else:
            (plugin / "sub").write_bytes(b"")

    with just_before(os.open, "sub", exchange):
        refusal = refusal_of(plugin)
    assert refusal.kind in ("unhashable_tree", "symlink_escape")
    assert refusal.evidence["offending_path"] == str(plugin / "sub")


def test_a_walk_never_reopens_by_path_what_it_has_opened(tmp_path: Path, plugin: Path) -> None:
    """Another tree moved into the plugin's place during the walk is not mixed into it."""
    expected = oracle(plugin)

    def exchange() -> None:
        plugin.rename(tmp_path / "moved")
        fill(plugin, {"api.py": b"evil = 1\n", "sub/module.py": b"evil = 2\n"})

    with just_before(os.open, "api.py", exchange):
        assert digest_of(plugin) == expected
    assert oracle(plugin) != expected


# --- what the plugin folder holds -----------------------------------------------------------------


def entries(root: Path) -> dict[str, str]:
    """Return the module by the name on disk."""
    return {entry.name: entry.module for entry in walk.root_entries(str(root)).unwrap()}


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("stray.py", "stray"),
        ("stray.pyc", "stray"),
        *((f"stray{suffix}", "stray") for suffix in EXTENSION_SUFFIXES),
        ("folder/", "folder"),
        ("folder/__init__.py", "folder"),
        ("with-hyphen/", "with-hyphen"),
        ("with space/", "with space"),
        ("Upper.py", "Upper"),
        ("_private.py", "_private"),
        ("é.py", "é"),
        ("__main__.py", "__main__"),
        ("x.pyc/", ""),
        ("ha-hacs.v2/", ""),
        ("lost+found/", "lost+found"),
        ("PLUGINS.bytecode/", None),
        ("PLUGINS.py", None),
        (".hidden/", None),
        ("_fast.cpython-27-x86_64-linux-gnu.so", ""),
        ("PLUGINS.lock", None),
        ("PLUGINS.sha256", None),
        ("README.md", None),
        ("README", None),
        ("stray.pyo", None),
        ("stray.py.bak", None),
        ("a.b.py", ""),
        (".hidden.py", None),
        (".git/", None),
        (".py", None),
        ("__pycache__/", None),
        ("__pycache__/x.py", None),
        ("__init__.py", "__init__"),
        ("__init__.pyc", "__init__"),
    ],
)
def test_what_python_loads_code_from(tmp_path: Path, name: str, module: str | None) -> None:
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        fill(tmp_path, {name: b""})
    entry = name.split("/")[0]
    assert entries(tmp_path) == ({} if module is None else {entry: module})
    for found in walk.root_entries(str(tmp_path)).unwrap():
        assert found.must_be_locked is (module not in ("", "__init__"))
        assert found.is_bytecode is name.endswith(".pyc")


def test_a_module_beside_a_folder_is_an_entry_of_its_own(tmp_path: Path) -> None:
    """Both can be imported as ``alpha``. The stray file must not hide behind the folder."""
    fill(tmp_path, {"alpha/api.py": b"", "alpha.py": b""})
    assert entries(tmp_path) == {"alpha": "alpha", "alpha.py": "alpha"}


@pytest.mark.parametrize(
    ("name", "target", "found"),
    [
        ("linked", "folder", {"linked": "linked"}),
        ("linked.py", "file", {"linked.py": "linked"}),
        ("dangling.py", "nowhere", {"dangling.py": "dangling"}),
        ("linked", "file", {}),
        ("dangling", "nowhere", {}),
        ("loop", "loop", {}),
        ("loop.py", "loop.py", {"loop.py": "loop"}),
    ],
)
def test_links_count_where_an_import_would_follow_them(
    tmp_path: Path, name: str, target: str, found: dict[str, str]
) -> None:
    (tmp_path / "outside" / "folder").mkdir(parents=True)
    (tmp_path / "outside" / "file").touch()
    root = tmp_path / "plugins"
    root.mkdir()
    outside = tmp_path / "outside" / target
    (root / name).symlink_to(outside if outside.exists() else target)
    assert entries(root) == found


@pytest.mark.parametrize("character", ["\n", "\x1b", "\x7f"])
def test_a_hostile_name_does_not_break_the_listing(tmp_path: Path, character: str) -> None:
    name = f"a{character}b.py"
    fill(tmp_path, {name: b""})
    assert entries(tmp_path) == {name: f"a{character}b"}
    (found,) = walk.root_entries(str(tmp_path)).unwrap()
    assert found.shown.isprintable()


def test_a_name_that_is_not_utf_8_is_listed_and_can_be_shown(tmp_path: Path) -> None:
    os.close(os.open(os.path.join(os.fsencode(tmp_path), b"\xff.py"), os.O_CREAT | os.O_WRONLY))
    (found,) = walk.root_entries(str(tmp_path)).unwrap()
    assert found.shown == r"\xff.py"


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_root_that_cannot_be_listed_is_refused(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "plugins"
    reason = "no such file or directory"
    if kind == "file":
        root.touch()
        reason = "not a directory"
    refusal = walk.root_entries(str(root)).unwrap_err()
    assert refusal.kind == "lock_file_malformed"
    assert refusal.plugin == "<lockfile>"
    assert refusal.evidence == {"detail": f"the plugin folder {root} cannot be listed: {reason}"}
    assert refusal.location == str(root)
