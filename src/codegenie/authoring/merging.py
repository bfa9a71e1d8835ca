"""Merge two locks, or two file lists, plugin by plugin, for a git merge driver.

A merge by lines has conflicts if two branches lock plugins on adjacent lines, and one extra comma
makes the JSON invalid. This merge works by plugin: its entry in the lock, or its whole section of
the file list. The result for a plugin comes from one side, and is never a mixture. ``lock --check``
checks that the merged files of the plugin have that digest.

A conflict writes git's markers to the file. Such a file is not a lock, so all imports are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from codegenie.authoring.file_sections import read_sections
from codegenie.files import read_regular
from codegenie.integrity import lock
from codegenie.integrity.file_list import MAX_SIDECAR_BYTES, SIDECAR_NAME
from codegenie.result import Err, Ok, Result

OURS = b"<<<<<<< ours\n"
BETWEEN = b"=======\n"
THEIRS = b">>>>>>> theirs\n"

Sections = Mapping[str, bytes]
"""The lines of each plugin, as they are in a file."""


@dataclass(frozen=True)
class Merge:
    """The bytes of the merged file. No reader accepts them if there are conflicts."""

    data: bytes
    conflicts: Mapping[str, str]
    """The reason of each conflict, by plugin."""
    problem: str | None = None
    """The reason why the files could not be compared plugin by plugin."""

    @property
    def clean(self) -> bool:
        return not self.conflicts and self.problem is None


def merge_locks(base: str, ours: str, theirs: str) -> Merge:
    """Merge the locks in the files ``ours`` and ``theirs``, which both come from ``base``."""
    return _merge(base, ours, theirs, _lock_sections, _render_lock, lock.MAX_LOCK_BYTES)


def merge_sidecars(base: str, ours: str, theirs: str) -> Merge:
    """Merge two files ``PLUGINS.sha256``, like ``merge_locks``."""
    return _merge(base, ours, theirs, _sidecar_sections, _render_sidecar, MAX_SIDECAR_BYTES)


def _merge(
    base: str,
    ours: str,
    theirs: str,
    read: Callable[[str], Result[Sections, str]],
    render: Callable[[Mapping[str, tuple[bytes, ...]]], bytes],
    limit: int,
) -> Merge:
    sides: list[Sections] = []
    for whose, path in (("the common ancestor", base), ("ours", ours), ("theirs", theirs)):
        # Git passes an empty file for a missing ancestor, but never for one of the sides.
        is_absent = not sides and _is_empty(path)
        sections: Result[Sections, str] = Ok({}) if is_absent else read(path)
        if isinstance(sections, Err):
            return Merge(_whole(ours, theirs, limit), {}, f"{whose} {sections.error}")
        sides.append(sections.value)
    old, mine, other = sides
    conflicts: dict[str, str] = {}
    merged: dict[str, tuple[bytes, ...]] = {}
    for plugin in sorted({*mine, *other}):
        before, one, two = (side.get(plugin) for side in (old, mine, other))
        if one == two or two == before:
            chosen = one
        elif one == before:
            chosen = two
        else:
            conflicts[plugin] = _difference(before, one, two)
            merged[plugin] = (one or b"", two or b"")
            continue
        if chosen is not None:
            merged[plugin] = (chosen,)
    data = render(merged)
    if not conflicts and len(data) > limit:
        what = "lock" if limit == lock.MAX_LOCK_BYTES else SIDECAR_NAME
        problem = f"the merged {what} is larger than {limit} bytes, and not read"
        return Merge(OURS + data, {}, problem)
    return Merge(data, conflicts)


def _difference(before: bytes | None, one: bytes | None, two: bytes | None) -> str:
    if before is None:
        return "was added on both sides, differently"
    if one is None or two is None:
        return "was changed on one side and removed on the other"
    return "was changed on both sides, differently"


def _whole(ours: str, theirs: str, limit: int) -> bytes:
    """Return both files as they are, with markers, for a person to resolve."""
    return OURS + _bytes_of(ours, limit) + BETWEEN + _bytes_of(theirs, limit) + THEIRS


def _bytes_of(path: str, limit: int) -> bytes:
    data = read_regular(path, max_bytes=limit)
    if isinstance(data, Err):
        return b"\n"
    return data.value if data.value.endswith(b"\n") else data.value + b"\n"


def _is_empty(path: str) -> bool:
    data = read_regular(path, max_bytes=0)
    return isinstance(data, Ok)


def _lock_sections(path: str) -> Result[Sections, str]:
    entries = lock.read(path)
    if isinstance(entries, Err):
        return Err(f"is not a lock: {entries.error.evidence['detail']}")
    return Ok(
        {
            plugin: lock.render_entry(plugin, digest).encode()
            for plugin, digest in entries.value.items()
        }
    )


def _render_lock(merged: Mapping[str, tuple[bytes, ...]]) -> bytes:
    """Render a lock like ``lock.render``, with markers around conflicts."""
    if not merged:
        return lock.render({})
    last = list(merged)[-1]
    lines = [b"{\n"]
    for plugin, versions in merged.items():
        end = b"\n" if plugin == last else b",\n"
        lines.append(_with_markers([version and version + end for version in versions]))
    return b"".join([*lines, b"}\n"])


def _sidecar_sections(path: str) -> Result[Sections, str]:
    return read_sections(path, strict=True)


def _render_sidecar(merged: Mapping[str, tuple[bytes, ...]]) -> bytes:
    return b"".join(_with_markers(versions) for versions in merged.values())


def _with_markers(versions: list[bytes] | tuple[bytes, ...]) -> bytes:
    if len(versions) == 1:
        return versions[0]
    return OURS + versions[0] + BETWEEN + versions[1] + THEIRS
