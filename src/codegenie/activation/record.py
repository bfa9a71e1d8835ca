"""Whether the files of an installed ``codegenie`` are those that its ``RECORD`` names.

A wheel carries the SHA-256 of every file in it, and installers keep the list (PEP 376, PEP 427).
It is an integrity check against accidents: a damaged disk, a patch by hand, half an upgrade.
Whoever can change the package can change ``RECORD`` too.

Everything is read from outside, by the ``codegenie`` that asks: the one that is asked about may be
damaged.
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
"""Of one file of the package. None comes near; what is larger is not what was installed."""

FIELDS = 3  # path, digest, size
_DIGEST = re.compile(r"sha256=([A-Za-z0-9_-]{43})")


class State(Enum):
    """What is known about the installed files."""

    INTACT = "intact"
    DIFFERENT = "different"
    UNUSABLE = "unusable"
    """There is a ``RECORD``, and nothing can be checked against it."""
    NOT_CHECKED = "not_checked"
    """There is no ``RECORD`` that speaks of these files, and need not be."""

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong, as far as can be told."""
        return self in (State.INTACT, State.NOT_CHECKED)


@dataclass(frozen=True)
class Installation:
    """The judgement, the ``RECORD`` it is from, and the files that differ, as ``RECORD`` names
    them: relative to the folder that holds the package."""

    state: State
    record: str | None = None
    reason: str | None = None
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def check(start: Start) -> Installation:
    """Compare the ``codegenie`` of a start with the ``RECORD`` that it was installed with."""
    if start.codegenie is None:
        return Installation(State.NOT_CHECKED, reason="codegenie is not installed there")
    package = Path(start.codegenie)
    home = package.parent.resolve()
    found = {path.parent.resolve() / path.name for path in map(Path, start.distributions)}
    beside = [path for path in sorted(found) if path.parent == home]
    if not beside:
        return Installation(State.NOT_CHECKED, reason=_why_not(package, start.distributions))
    if len(beside) > 1:
        names = " and ".join(path.name for path in beside)
        return Installation(State.UNUSABLE, reason=f"several claim these files: {names}")
    path = beside[0] / RECORD
    if not _is_there(path):
        return Installation(State.NOT_CHECKED, reason=f"{beside[0].name} has no {RECORD}")
    digests = _read(path)
    if isinstance(digests, Err):
        return Installation(State.UNUSABLE, str(path), digests.error.detail)
    return replace(_compare(package, digests.value), record=str(path))


def _why_not(package: Path, distributions: tuple[str, ...]) -> str:
    """Why no ``RECORD`` speaks of a package."""
    if any(_is_editable(Path(path) / ORIGIN) for path in distributions):
        return f"editable install, from {package}"
    return f"nothing beside {package} says that it was installed"


def _is_editable(origin: Path) -> bool:
    """Whether ``direct_url.json`` (PEP 610) tells of a link to a folder of sources."""
    loaded = safe_json.load(origin, max_bytes=MAX_ORIGIN_BYTES, max_depth=MAX_ORIGIN_DEPTH)
    if isinstance(loaded, Err) or not isinstance(loaded.value, dict):
        return False
    folder = loaded.value.get("dir_info")
    return isinstance(folder, dict) and folder.get("editable") is True


def _read(path: Path) -> Result[dict[str, str], Unreadable]:
    """The digests of ``RECORD``, as it writes them, by path.

    Without the two kinds of files that may have none: itself, and the bytecode that an installer
    has added.
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
        # Through links: some installers link to their store, and so does what is imported.
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
        State.DIFFERENT if changed or missing or added else State.INTACT,
        changed=tuple(sorted(changed)),
        missing=tuple(sorted(missing)),
        added=tuple(sorted(added)),
    )


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _as_recorded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashing.file_digest(data)).rstrip(b"=").decode("ascii")


def _files_below(package: Path) -> list[str]:
    """Every entry below the package that is no folder, and in no cache of bytecode."""
    found: list[str] = []
    for folder, folders, names in os.walk(package):
        # A link to a folder is not walked into. No wheel can hold one, so it counts as a file.
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = [name for name in folders if name != CACHE and name not in links]
        place = Path(folder).relative_to(package.parent)
        found.extend((place / name).as_posix() for name in (*names, *links))
    return found
