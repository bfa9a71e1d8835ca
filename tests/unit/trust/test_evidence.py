"""The files beside a lock are read whole, or refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.result import Err
from codegenie.trust import beside, evidence
from codegenie.trust.accepted import Untrusted

SMALL = b"-----BEGIN"


@pytest.fixture
def signatures(tmp_path: Path) -> Path:
    folder = tmp_path / "PLUGINS.signatures"
    folder.mkdir()
    (folder / "bob.sig").write_bytes(SMALL)
    return folder


def read(folder: Path) -> dict[str, bytes | str]:
    """Return the bytes of each signature file, or the reason why it does not count."""
    found = evidence._read_signatures(str(folder))
    return {name: data.error if isinstance(data, Err) else data.value for name, data in found}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(os.mkfifo, "is a FIFO, not a regular file", id="fifo"),
        pytest.param(os.mkdir, "is a folder, not a regular file", id="folder"),
        pytest.param(
            lambda path: path.symlink_to("bob.sig"),
            "is a symbolic link, not a regular file",
            id="link",
        ),
        pytest.param(
            lambda path: path.write_bytes(bytes(64 * 1024 + 1)),
            "is larger than 65536 bytes",
            id="too-large",
        ),
    ],
)
def test_a_signature_that_cannot_be_read_has_a_reason(
    signatures: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(signatures / "alice.sig")
    assert read(signatures) == {"alice.sig": reason, "bob.sig": SMALL}


def test_a_signature_of_the_largest_size_is_read(signatures: Path) -> None:
    (signatures / "alice.sig").write_bytes(bytes(64 * 1024))
    assert read(signatures) == {"alice.sig": bytes(64 * 1024), "bob.sig": SMALL}
    assert list(read(signatures)) == ["alice.sig", "bob.sig"]


def test_more_signatures_than_sixteen_are_refused(signatures: Path) -> None:
    for number in range(15):
        (signatures / f"{number}.sig").write_bytes(SMALL)
    assert len(read(signatures)) == 16
    (signatures / "one-more.sig").write_bytes(SMALL)
    with pytest.raises(Untrusted, match="more than 16 signature files"):
        read(signatures)


def test_without_a_folder_there_are_no_signatures(signatures: Path) -> None:
    assert read(signatures.parent / "missing") == {}
    with pytest.raises(Untrusted, match="cannot be listed"):
        read(signatures / "bob.sig")


@pytest.mark.parametrize(("over", "is_read"), [(0, True), (1, False)])
@pytest.mark.parametrize("name", ["PLUGINS.lock", "PLUGINS.statement.json"])
def test_lock_and_statement_have_a_largest_size(
    tmp_path: Path, name: str, over: int, is_read: bool
) -> None:
    data = bytes(64 * 1024 + over)
    (tmp_path / name).write_bytes(data)
    lock = str(tmp_path / "PLUGINS.lock")
    reader = beside.read_lock if name == "PLUGINS.lock" else beside.read_statement
    if is_read:
        assert reader(lock) == data
    else:
        with pytest.raises(Untrusted, match="larger than"):
            reader(lock)
