"""The check of the installed files, with every ``RECORD`` that is none."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie.activation import record
from codegenie.activation.probe import Start
from codegenie.activation.record import Installation, RecordState

FILES = {"codegenie/__init__.py": b"", "codegenie/sub/ü, one.py": b"x = 1\n"}
DIST_INFO = "codegenie-1.0.dist-info"


def start(codegenie: str | None, *distributions: str) -> Start:
    return Start(
        executable="/env/bin/python",
        version="3.11.0",
        folder="/env",
        on_path=True,
        guard={"active": False},
        before_guard=None,
        broken=None,
        activations=(),
        sitecustomize=None,
        user_site=False,
        codegenie=codegenie,
        distributions=distributions,
    )


def entry(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f'"{name}",sha256={digest},{len(data)}'


GOOD = [*(entry(name, data) for name, data in FILES.items()), f"{DIST_INFO}/RECORD,,"]


class Site:
    """A folder of installed modules, with nothing in it but ``FILES`` and their ``RECORD``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, data in FILES.items():
            self.write(name, data)
        self.record = self.write(f"{DIST_INFO}/RECORD", "\n".join([*GOOD, ""]).encode())

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def check(self) -> Installation:
        return record.check(start(str(self.folder / "codegenie"), str(self.folder / DIST_INFO)))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_was_installed(site: Site) -> None:
    assert site.check() == Installation(RecordState.INTACT, str(site.record))
    site.write("codegenie/__pycache__/__init__.cpython-311.pyc", b"bytecode")
    site.write("codegenie/sub/__pycache__/planted.py", b"no import leads there")
    site.write("other/__init__.py", b"")
    cached = "codegenie/__pycache__/__init__.cpython-311.pyc,,"
    site.record.write_text("\r\n".join([*GOOD, cached, "", ""]))  # as pip writes it
    assert site.check().state is RecordState.INTACT


def test_names_that_a_record_must_quote(site: Site) -> None:
    for name in ('codegenie/a"b.txt', "codegenie/a\r\nb.txt", "codegenie/a\rb.txt"):
        site.write(name, b"")
        quoted = f'"{name.replace(chr(34), chr(34) * 2)}"'
        line = entry("", b"").replace('""', quoted)
        with site.record.open("a", newline="") as file:
            file.write(f"{line}\r\n")
        assert site.check().state is RecordState.INTACT


def test_every_difference_is_named(site: Site) -> None:
    outside = site.write("script", b"#!python\n")
    site.record.write_text("\n".join([*GOOD, entry("codegenie/../script", b"#!python\n")]))
    assert site.check().state is RecordState.INTACT
    outside.write_bytes(b"#!pythom\n")
    (site.folder / "codegenie" / "__init__.py").unlink()
    site.write("codegenie/sub/new.py", b"")
    site.write("codegenie/sub/old.pyc", b"")
    (site.folder / "codegenie" / "elsewhere").symlink_to(site.folder)
    assert site.check() == Installation(
        RecordState.DIFFERENT,
        str(site.record),
        changed=("codegenie/../script",),
        missing=("codegenie/__init__.py",),
        added=("codegenie/elsewhere", "codegenie/sub/new.py", "codegenie/sub/old.pyc"),
    )


def test_a_file_that_became_something_else(site: Site) -> None:
    path = site.folder / "codegenie" / "__init__.py"
    path.unlink()
    os.mkfifo(path)
    assert site.check().changed == ("codegenie/__init__.py",)
    path.unlink()
    path.symlink_to(path)
    assert site.check().changed == ("codegenie/__init__.py",)
    path.unlink()
    path.mkdir()
    assert site.check().changed == ("codegenie/__init__.py",)


def test_files_that_are_links_to_a_store(site: Site, tmp_path: Path) -> None:
    """As some installers make them. The folder that would be imported counts."""
    path = site.folder / "codegenie" / "__init__.py"
    stored = site.write("store/__init__.py", b"")
    path.unlink()
    path.symlink_to(stored)
    assert site.check().state is RecordState.INTACT
    stored.write_bytes(b"\n")
    assert site.check().changed == ("codegenie/__init__.py",)


def a_link_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BEFORE = "\n".join(GOOD).encode() + b"\n"
DIGEST = b"A" * 43

UNUSABLE: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    "bytes": (b"\x80\x81\x82", "is not UTF-8 (byte 0)"),
    "utf-16": ("\n".join(GOOD).encode("utf-16"), "is not UTF-8"),
    "binary": (bytes(range(32)) * 100, "line "),
    "text": (b"garbage\n", "line 1 is no entry of a file"),
    "json": (b'{"files": []}\n', "line 1 is no entry of a file"),
    "two-fields": (BEFORE + b"codegenie/x.py,sha256=" + DIGEST + b"\n", "line 4 is no entry"),
    "four-fields": (BEFORE + b"a,b,c,d\n", "line 4 is no entry of a file"),
    "no-name": (BEFORE + b",sha256=" + DIGEST + b",1\n", "line 4 is no entry of a file"),
    "nul-in-a-name": (BEFORE + b"a\0b,sha256=" + DIGEST + b",1\n", "line 4 "),
    "open-quote": (BEFORE + b'"codegenie/x.py,,\n', "line 4: "),
    "no-digest": (BEFORE + b"codegenie/x.py,,\n", "line 4 has no SHA-256 digest"),
    "md5": (BEFORE + b"codegenie/x.py,md5=abc,1\n", "line 4 has no SHA-256 digest"),
    "hex": (BEFORE + b"codegenie/x.py,sha256=" + b"0" * 64 + b",1\n", "line 4 has no SHA-256"),
    "padded": (BEFORE + b"codegenie/x.py,sha256=" + DIGEST + b"=,1\n", "line 4 has no SHA-256"),
    "cut-off": (BEFORE[:-60], "line 2 "),
    "twice": (BEFORE + GOOD[0].encode() + b"\n", "line 4 names a file once more"),
    "long-field": (b"a" * 200_000 + b",,\n", "line 1: field larger than field limit"),
    "oversize": (b"\n" * (record.MAX_RECORD_BYTES + 1), "is larger than 4194304 bytes"),
    "dangling-link": (a_link_to_nowhere, "is a symbolic link"),
    "fifo": (a_fifo, "is a FIFO"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_record_that_is_none(site: Site, name: str) -> None:
    content, reason = UNUSABLE[name]
    if callable(content):
        content(site.record)
    else:
        site.record.write_bytes(content)
    found = site.check()
    assert (found.state, found.record) == (RecordState.UNUSABLE, str(site.record)), found
    assert found.reason is not None
    assert reason in found.reason
    assert not found.state.is_healthy


def test_an_empty_record_names_none_of_the_files(site: Site) -> None:
    site.record.write_bytes(b"")
    found = site.check()
    assert (found.state, found.added) == (RecordState.DIFFERENT, tuple(sorted(FILES)))


fields = st.text('a./\0"ü', max_size=6)
rows = st.lists(
    st.tuples(fields, st.just(f"sha256={DIGEST.decode()}") | fields, fields), max_size=3
)
records = st.binary(max_size=100) | rows.map(lambda r: "\n".join(map(",".join, r)).encode())


@settings(deadline=None)
@given(records)
def test_no_record_is_a_traceback(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        site.record.write_bytes(data)
        # None of them holds a digest of the files that are there.
        assert site.check().state in (RecordState.UNUSABLE, RecordState.DIFFERENT)


def test_without_a_record(site: Site) -> None:
    site.record.unlink()
    found = site.check()
    assert found == Installation(RecordState.NOT_CHECKED, reason=f"{DIST_INFO} has no RECORD")
    assert found.state.is_healthy


def test_nothing_there() -> None:
    found = record.check(start(None))
    assert found == Installation(RecordState.NOT_CHECKED, reason="codegenie is not installed there")


def test_two_distributions_that_claim_the_files(site: Site) -> None:
    other = site.write("codegenie-0.9.dist-info/RECORD", b"").parent
    distributions = (str(site.folder / DIST_INFO), str(other))
    found = record.check(start(str(site.folder / "codegenie"), *distributions))
    assert (found.state, found.reason) == (
        RecordState.UNUSABLE,
        f"several claim these files: codegenie-0.9.dist-info and {DIST_INFO}",
    )


def test_the_same_folder_by_another_name(site: Site, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(site.folder)
    real, link = site.folder, tmp_path / "link"
    for package, *folders in ((real, link), (link, real), (link, link, real)):
        distributions = [str(folder / DIST_INFO) for folder in folders]
        found = record.check(start(str(package / "codegenie"), *distributions))
        assert found.state is RecordState.INTACT


def test_a_folder_of_the_installer_that_is_a_link(site: Site, tmp_path: Path) -> None:
    (site.folder / DIST_INFO).rename(tmp_path / "stored")
    (site.folder / DIST_INFO).symlink_to("stored")
    assert site.check() == Installation(RecordState.INTACT, str(site.record))


@pytest.mark.parametrize(
    ("origin", "is_editable"),
    [
        (b'{"dir_info": {"editable": true}, "url": "file:///src"}', True),
        (b'{"dir_info": {}, "url": "file:///src"}', False),
        (b'{"dir_info": {"editable": false}, "url": "file:///src"}', False),
        (b'{"dir_info": true}', False),
        (b'{"archive_info": {}}', False),
        (b"[]", False),
        (b"garbage", False),
        (b"[" * 5000, False),
    ],
)
def test_a_checkout(site: Site, tmp_path: Path, origin: bytes, is_editable: bool) -> None:
    package = tmp_path / "checkout" / "src" / "codegenie"
    package.mkdir(parents=True)
    site.write(f"{DIST_INFO}/direct_url.json", origin)
    found = record.check(start(str(package), str(site.folder / DIST_INFO)))
    assert found.state is RecordState.NOT_CHECKED
    assert found.reason is not None
    assert found.reason.startswith("editable install, from " if is_editable else "nothing beside ")
