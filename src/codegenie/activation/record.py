"""Compare the files of an installed ``codegenie`` with its ``RECORD``.

A wheel contains the SHA-256 of every file in it, and installers keep the list (PEP 376, PEP 427).
The comparison finds accidents: a damaged disk, a patch by hand, half an upgrade. It finds no
attack, because an attacker who can change the package can change ``RECORD`` too.

The running ``codegenie`` reads all files itself and runs no code of the installed one, because the
installed one may be damaged.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from codegenie import hashing
from codegenie.activation.probe import Start
from codegenie.files import Unreadable, read_regular
from codegenie.parsers import safe_json
from codegenie.result import Err, Ok, Result

RECORD = "RECORD"
ORIGIN = "direct_url.json"
CACHE = "__pycache__"

MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_ORIGIN_BYTES = 64 * 1024
MAX_ORIGIN_DEPTH = 8
MAX_FILE_BYTES = 64 * 1024 * 1024
"""The limit for one file of the package. Installed files are far smaller."""

FIELDS = 3  # path, digest, size
_DIGEST = re.compile(r"sha256=([A-Za-z0-9_-]{43})")


class RecordState(Enum):
    """The result of the comparison."""

    INTACT = "intact"
    DIFFERENT = "different"
    UNUSABLE = "unusable"
    """There is a ``RECORD``, but it cannot be used."""
    NOT_CHECKED = "not_checked"
    """There is no ``RECORD`` for these files, and there need not be one."""

    @property
    def is_healthy(self) -> bool:
        """Return True unless the comparison found a problem, or could not be made."""
        return self in (RecordState.INTACT, RecordState.NOT_CHECKED)


@dataclass(frozen=True)
class Installation:
    """The result, its ``RECORD``, and the files that differ.

    Paths are those of ``RECORD``: relative to the folder that contains the package.
    """

    state: RecordState
    record: str | None = None
    reason: str | None = None
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def check(start: Start) -> Installation:
    """Compare the ``codegenie`` of a start with the ``RECORD`` that it was installed with."""
    if start.codegenie is None:
        return Installation(RecordState.NOT_CHECKED, reason="codegenie is not installed there")
    package = Path(start.codegenie)
    home = package.parent.resolve()
    found = {path.parent.resolve() / path.name for path in map(Path, start.distributions)}
    beside = [path for path in sorted(found) if path.parent == home]
    if not beside:
        return Installation(RecordState.NOT_CHECKED, reason=_why_not(package, start.distributions))
    if len(beside) > 1:
        names = " and ".join(path.name for path in beside)
        return Installation(RecordState.UNUSABLE, reason=f"several claim these files: {names}")
    path = beside[0] / RECORD
    if not _is_there(path):
        return Installation(RecordState.NOT_CHECKED, reason=f"{beside[0].name} has no {RECORD}")
    digests = _read(path)
    if isinstance(digests, Err):
        return Installation(RecordState.UNUSABLE, str(path), digests.error.detail)
    return replace(_compare(package, digests.value), record=str(path))


def _why_not(package: Path, distributions: tuple[str, ...]) -> str:
    """Return the reason why there is no ``RECORD`` for a package."""
    if any(_is_editable(Path(path) / ORIGIN) for path in distributions):
        return f"editable install, from {package}"
    return f"nothing beside {package} says that it was installed"


def _is_editable(origin: Path) -> bool:
    """Return True if ``direct_url.json`` (PEP 610) names a link to a folder of sources."""
    loaded = safe_json.load(origin, max_bytes=MAX_ORIGIN_BYTES, max_depth=MAX_ORIGIN_DEPTH)
    if isinstance(loaded, Err) or not isinstance(loaded.value, dict):
        return False
    folder = loaded.value.get("dir_info")
    return isinstance(folder, dict) and folder.get("editable") is True


def _read(path: Path) -> Result[dict[str, str], Unreadable]:
    """Return the digests of ``RECORD``, in its own notation, by path.

    Leaves out the two kinds of entries that may have no digest: ``RECORD`` itself, and bytecode
    that an installer has added.
    """
    data = read_regular(str(path), max_bytes=MAX_RECORD_BYTES)
    if isinstance(data, Err):
        return data
    digests: dict[str, str] = {}
    own_name = f"{path.parent.name}/{RECORD}"
    try:
        rows = csv.reader(io.StringIO(data.value.decode("utf-8"), newline=""), strict=True)
        for row in rows:
            if not row:
                continue
            if len(row) != FIELDS or not row[0] or "\0" in row[0]:
                return Err(Unreadable(str(path), f"line {rows.line_num} is no entry of a file"))
            name, written, _ = row
            if not written and (name == own_name or CACHE in name.split("/")):
                continue
            found = _DIGEST.fullmatch(written)
            if found is None:
                return Err(Unreadable(str(path), f"line {rows.line_num} has no SHA-256 digest"))
            if name in digests:
                return Err(Unreadable(str(path), f"line {rows.line_num} names a file once more"))
            digests[name] = found[1]
    except UnicodeDecodeError as error:
        return Err(Unreadable(str(path), f"is not UTF-8 (byte {error.start})"))
    except csv.Error as error:
        return Err(Unreadable(str(path), f"line {rows.line_num}: {error}"))
    return Ok(digests)


def _compare(package: Path, digests: dict[str, str]) -> Installation:
    home = package.parent
    changed: list[str] = []
    missing: list[str] = []
    for name, expected in digests.items():
        # Follow links, because some installers link to their store, and an import follows links.
        path = Path(os.path.realpath(home / name))
        data = read_regular(str(path), max_bytes=MAX_FILE_BYTES)
        if isinstance(data, Ok):
            if _as_recorded(data.value) != expected:
                changed.append(name)
        elif _is_there(path):
            changed.append(name)
        else:
            missing.append(name)
    added = [name for name in _files_below(package) if name not in digests]
    return Installation(
        RecordState.DIFFERENT if changed or missing or added else RecordState.INTACT,
        changed=tuple(sorted(changed)),
        missing=tuple(sorted(missing)),
        added=tuple(sorted(added)),
    )


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _as_recorded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashing.file_digest(data)).rstrip(b"=").decode("ascii")


def _files_below(package: Path) -> list[str]:
    """Return every entry below the package, except folders and caches of bytecode."""
    found: list[str] = []
    for folder, folders, names in os.walk(package):
        # Do not walk into a link to a folder. No wheel can contain one, so it counts as a file.
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = [name for name in folders if name != CACHE and name not in links]
        place = Path(folder).relative_to(package.parent)
        found.extend((place / name).as_posix() for name in (*names, *links))
    return found
