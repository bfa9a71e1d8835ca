"""The format of ``PLUGINS.lock``: section 2 of docs/reference/rules.md, one case per rule."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from codegenie._start.finder import Claim, GuardFinder
from codegenie.integrity import lock
from codegenie.result import Ok

A = "a" * 64
B = "b" * 64
CAP = 64 * 1024


def test_a_unit_that_no_import_can_name_claims_no_module() -> None:
    units = ("a.py", "b", "c.cpython-311-x86_64-linux-gnu.so", "json.v2", "numpy.libs", "py.typed")
    names = ["a", "b", "c", "json.v2", "numpy.libs", "py.typed"]
    assert lock.names_of(units) == names
    finder = GuardFinder()
    claim = Claim(finder, {"package": "", "others": "leave", "names": names})
    assert sorted(claim.heads) == ["a", "b", "c"]
    assert not claim.claims("json.decoder")
    assert not claim.guards_entry("json")
    assert all(map(claim.guards_entry, units))


def refused(path: Path) -> str:
    """Return the detail of the refusal of this lock, after what every one of them must hold."""
    refusal = lock.read(str(path)).unwrap_err()
    assert refusal.kind == "lock_file_malformed"
    assert refusal.plugin == "<lockfile>"
    assert refusal.location == str(path)
    assert set(refusal.evidence) == {"detail"}
    detail: str = refusal.evidence["detail"]
    assert detail.startswith(f"{path}: "), detail
    assert detail.removeprefix(f"{path}: ") in refusal.explanation()
    return detail.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"alpha": A},
        {"alpha": A, "vulnerability-remediation--node--npm": B},
        {"a" * 128: A},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_lock_is_read(tmp_path: Path, entries: dict[str, str], indent: int | None) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_text(json.dumps(entries, indent=indent))
    assert lock.read(str(path)) == Ok(entries)


MALFORMED: list[tuple[str, str | bytes, str]] = [
    ("empty-file", "", "is not JSON: Expecting value"),
    ("cut-off", f'{{"alpha": "{A}"', "is not JSON: "),
    ("trailing-comma", f'{{"alpha": "{A}",}}', "is not JSON: "),
    ("text-after-it", f'{{"alpha": "{A}"}} x', "is not JSON: Extra data"),
    ("merge-conflict", f'<<<<<<< HEAD\n{{"alpha": "{A}"}}\n', "is not JSON: "),
    ("duplicate-key", f'{{"alpha": "{A}", "alpha": "{B}"}}', "holds the key 'alpha' twice"),
    ("duplicate-same", f'{{"alpha": "{A}", "alpha": "{A}"}}', "holds the key 'alpha' twice"),
    (
        "duplicate-by-an-escape",
        f'{{"alpha": "{A}", "\\u0061lpha": "{B}"}}',
        "holds the key 'alpha' twice",
    ),
    (
        "byte-order-mark",
        b"\xef\xbb\xbf" + f'{{"alpha": "{A}"}}'.encode(),
        "starts with a byte order mark",
    ),
    ("utf-16", f'{{"alpha": "{A}"}}'.encode("utf-16"), "is not UTF-8 (byte 0)"),
    ("latin-1", b'{"\xe9": "x"}', "is not UTF-8 (byte 2)"),
    ("list", f'["alpha", "{A}"]', "must be one JSON object, {plugin id: digest}"),
    ("pairs", f'[["alpha", "{A}"]]', "must be one JSON object, {plugin id: digest}"),
    ("text", '"alpha"', "must be one JSON object, {plugin id: digest}"),
    ("number", "1", "must be one JSON object, {plugin id: digest}"),
    ("null", "null", "must be one JSON object, {plugin id: digest}"),
    ("true", "true", "must be one JSON object, {plugin id: digest}"),
    ("not-a-number", '{"alpha": NaN}', "holds NaN, which is not JSON"),
    ("infinity", '{"alpha": Infinity}', "holds Infinity, which is not JSON"),
    ("digest-null", '{"alpha": null}', "the entry of 'alpha': 'None' is not a SHA-256 digest"),
    ("digest-number", '{"alpha": 1}', "the entry of 'alpha': '1' is not a SHA-256 digest"),
    ("digest-list", f'{{"alpha": ["{A}"]}}', "the entry of 'alpha': "),
    ("digest-object", f'{{"alpha": {{"sha256": "{A}"}}}}', "the entry of 'alpha': "),
    ("digest-empty", '{"alpha": ""}', "the entry of 'alpha': '' is not a SHA-256 digest"),
    ("digest-short", f'{{"alpha": "{A[:-1]}"}}', "the entry of 'alpha': "),
    ("digest-long", f'{{"alpha": "{A}a"}}', "the entry of 'alpha': "),
    ("digest-upper-case", f'{{"alpha": "{A.upper()}"}}', "the entry of 'alpha': "),
    ("digest-not-hex", f'{{"alpha": "{"g" * 64}"}}', "the entry of 'alpha': "),
    ("digest-newline", f'{{"alpha": "{A}\\n"}}', "the entry of 'alpha': "),
    ("digest-with-prefix", f'{{"alpha": "h1:{A}"}}', "the entry of 'alpha': "),
    ("id-empty", f'{{"": "{A}"}}', "'' is not a plugin id"),
    ("id-of-git", f'{{".git": "{A}"}}', "'.git' is not a plugin id"),
    ("id-of-the-lock", f'{{"PLUGINS.lock": "{A}"}}', "'PLUGINS.lock' is not a plugin id"),
    ("ids-by-case", f'{{"a": "{A}", "A": "{A}"}}', "'A' and 'a' are one name on file systems"),
    (
        "ids-by-form",
        f'{{"\u00e9": "{A}", "e\u0301": "{A}"}}',
        "'e\u0301' and '\u00e9' are one name",
    ),
    ("id-parent-folder", f'{{"../a": "{A}"}}', "'../a' is not a plugin id"),
    ("id-newline", f'{{"alpha\\n": "{A}"}}', "'alpha\\n' is not a plugin id"),
    ("id-surrogate", f'{{"\\ud800": "{A}"}}', "'\\ud800' is not a plugin id"),
    ("id-too-long", f'{{"{"a" * 256}": "{A}"}}', "'" + "a" * 200),
    ("one-bad-among-good", f'{{"alpha": "{A}", "beta": "x"}}', "the entry of 'beta': 'x' is not"),
    ("depth-three", '{"alpha": {"a": {"b": 1}}}', "is nested more than 2 deep"),
    ("depth-three-lists", "[[[]]]", "is nested more than 2 deep"),
    ("very-deep", "[" * 60_000, "is nested more than 2 deep"),
    ("oversize", "{}" + " " * (CAP - 1), f"is larger than {CAP} bytes"),
    ("far-oversize", "x" * (CAP * 20), f"is larger than {CAP} bytes"),
]


@pytest.mark.parametrize(
    ("data", "problem"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED]
)
def test_a_malformed_lock_is_refused_naming_file_and_problem(
    tmp_path: Path, data: str | bytes, problem: str
) -> None:
    path = tmp_path / "PLUGINS.lock"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    assert refused(path).startswith(problem)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "does not exist"),
        ("symlink", "is a symbolic link, not a regular file"),
        ("dangling", "is a symbolic link, not a regular file"),
        ("fifo", "is a FIFO, not a regular file"),
        ("folder", "is a folder, not a regular file"),
    ],
)
def test_what_is_no_file_is_no_lock(tmp_path: Path, kind: str, problem: str) -> None:
    (tmp_path / "other").write_bytes(lock.render({"alpha": A}))
    (tmp_path / "symlink").symlink_to("other")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert refused(tmp_path / kind) == problem


def test_a_lock_of_exactly_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    data = lock.render({"alpha": A})
    path.write_bytes(data + b" " * (CAP - len(data)))
    assert lock.read(str(path)) == Ok({"alpha": A})


# --- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "rendered"),
    [
        ({}, "{}\n"),
        ({"alpha": A}, f'{{\n  "alpha": "{A}"\n}}\n'),
        (
            {"b": B, "a_b": A, "a-b": A, "a": A},
            f'{{\n  "a": "{A}",\n  "a-b": "{A}",\n  "a_b": "{A}",\n  "b": "{B}"\n}}\n',
        ),
    ],
)
def test_a_lock_is_rendered_sorted_indented_and_terminated(
    entries: dict[str, str], rendered: str
) -> None:
    assert lock.render(entries).decode() == rendered
    assert rendered == json.dumps(entries, indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize("entries", [{}, {"alpha": A}, {"beta": B, "alpha": A, "a" * 128: B}])
def test_what_is_written_is_what_is_read(tmp_path: Path, entries: dict[str, str]) -> None:
    path = tmp_path / "PLUGINS.lock"
    lock.write_lock(str(path), entries)
    assert path.read_bytes() == lock.render(entries)
    assert lock.read(str(path)) == Ok(entries)
    assert os.listdir(tmp_path) == ["PLUGINS.lock"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_the_old_mode_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "PLUGINS.lock"
    lock.write_lock(str(path), {"alpha": A})
    path.chmod(mode)
    lock.write_lock(str(path), {"alpha": B})
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert lock.read(str(path)) == Ok({"alpha": B})


def test_a_reader_keeps_the_lock_it_has_opened(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    lock.write_lock(str(path), {"alpha": A})
    with path.open("rb") as reader:
        lock.write_lock(str(path), {"alpha": B})
        assert reader.read() == lock.render({"alpha": A})


def test_a_link_is_not_written_through_and_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(lock.render({"alpha": A}))
    for name, points_to in (("link", "target"), ("dangling", "nowhere")):
        path = tmp_path / name
        path.symlink_to(points_to)
        said = "is a symbolic link; a lock must be a file of its own"
        with pytest.raises(ValueError, match=said):
            lock.write_lock(str(path), {"alpha": B})
        assert os.readlink(path) == points_to
    assert target.read_bytes() == lock.render({"alpha": A})
    assert sorted(os.listdir(tmp_path)) == ["dangling", "link", "target"]


def entries_of(size: int) -> dict[str, str]:
    """Entries that render to exactly this many bytes: 74 and an id each, and 3 for the braces."""
    count = size // 164
    length, longer = divmod(size - 3 - 74 * count, count)
    return {f"p{n:0{length - 1 + (n < longer)}d}": A for n in range(count)}


def test_a_lock_of_exactly_the_largest_size_is_written(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    entries = entries_of(CAP)
    assert len(lock.render(entries)) == CAP
    lock.write_lock(str(path), entries)
    assert lock.read(str(path)) == Ok(entries)


def test_a_lock_that_no_reader_would_accept_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    lock.write_lock(str(path), {"alpha": A})
    entries = entries_of(CAP + 1)
    assert len(lock.render(entries)) == CAP + 1
    with pytest.raises(
        ValueError,
        match=f"the lock of {len(entries)} plugins would be {CAP + 1} bytes; at most {CAP} are",
    ):
        lock.write_lock(str(path), entries)
    assert lock.read(str(path)) == Ok({"alpha": A})
    assert os.listdir(tmp_path) == ["PLUGINS.lock"]


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "PLUGINS.lock"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        lock.write_lock(str(folder), {"alpha": A})
    assert os.listdir(tmp_path) == ["PLUGINS.lock"]
    assert os.listdir(folder) == []
    with pytest.raises(FileNotFoundError):
        lock.write_lock(str(tmp_path / "missing" / "PLUGINS.lock"), {"alpha": A})
