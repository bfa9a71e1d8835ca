"""Read and write ``PLUGINS.sha256``, the untrusted file list that explains a mismatch.

Lines ``<64 hex>  <unit>/<path>``, or ``<64 hex>  <unit>`` for a unit that is a single file, as
``sha256sum -c`` reads them. A unit's section is used only if it reproduces the digest that the lock
pins. Then it shows which files differ. It never allows anything.
"""

import os

from codegenie import _start
from codegenie.files import open_regular
from codegenie.hashing import tree_digest_of_digests
from codegenie.refusals.differences import Differences
from codegenie.result import Err
from codegenie.types.parsers import parse_blob_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codegenie.integrity.verified_tree import VerifiedTree
    from codegenie.integrity.walk import Files, Tree

SIDECAR_NAME = "PLUGINS.sha256"
MAX_SIDECAR_BYTES = 64 * 1024 * 1024


MAX_SECTION_BYTES = 8 * 1024 * 1024
"""The lines of one plugin, about 80 000 files. In memory they take several times as much."""

MAX_LINE_BYTES = 64 * 1024
"""Longer than any path in a tree that can be pinned."""

_BLOCK = 1024 * 1024


class _NotBelieved(Exception):
    """The section is malformed, so it is not used. Never leaves this module."""


def read_section(root: str, plugin: str, expected: str) -> dict[str, bytes] | None:
    """Return the file digests of one plugin, or None unless they reproduce ``expected``.

    Threat: an attacker who can write to the folder makes this file huge. Rule: read it in blocks,
    and create objects only for lines of this plugin, so memory stays bounded.
    """
    opened = open_regular(f"{root}/{SIDECAR_NAME}")
    if isinstance(opened, Err):
        return None
    descriptor, status = opened.value
    section: dict[str, bytes] = {}
    size = 0
    try:
        if status.st_size > MAX_SIDECAR_BYTES:
            return None
        for digest, name in _lines_of(descriptor, f"  {plugin}".encode()):
            size += len(digest) + len(name)
            # The line of a single file has no path, and its tree names the file like the unit.
            _add(section, digest, name[1:] if name else plugin.encode())
            if size > MAX_SECTION_BYTES:
                return None
    except (OSError, UnicodeDecodeError, _NotBelieved):
        return None
    finally:
        _start.close(descriptor)
    return section if tree_digest_of_digests(section.items()) == expected else None


def _add(section: dict[str, bytes], digest: bytes, name: bytes) -> None:
    parsed = parse_blob_digest(digest.decode("ascii"))
    path = name.decode("utf-8")
    if isinstance(parsed, Err) or path in section:
        raise _NotBelieved
    section[path] = bytes.fromhex(parsed.value)


def _lines_of(descriptor: int, separator: bytes) -> "Iterator[tuple[bytes, bytes]]":
    """Yield digest and rest of each line of the unit: ``/`` and a path, or nothing.

    ``separator`` is the blanks after the digest, and the unit's name.
    """
    rest = b""
    left = MAX_SIDECAR_BYTES
    while block := _start.read(descriptor, _BLOCK):
        left -= len(block)  # the file may grow during the loop
        data = rest + block
        end = data.rfind(b"\n") + 1
        yield from _lines_in(data[:end], separator)
        rest = data[end:]
        if left < 0 or len(rest) > MAX_LINE_BYTES:
            raise _NotBelieved
    yield from _lines_in(rest, separator)


def _lines_in(data: bytes, separator: bytes) -> "Iterator[tuple[bytes, bytes]]":
    """Yield like ``_lines_of``, from whole lines. Skips lines of other plugins at no cost."""
    at = data.find(separator)
    while at != -1:
        start = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at)
        end = len(data) if end == -1 else end
        rest = data[at + len(separator) : end]
        # The first two blanks end the digest; later ones belong to the path.
        if data.find(b"  ", start, at + 2) == at and rest[:1] in (b"", b"/"):
            yield data[start:at], rest
        at = data.find(separator, end)


def compare(section: "Mapping[str, bytes]", files: "Files") -> Differences:
    """Compare a section that reproduces the lock with the files of a walk."""
    return Differences(
        changed=sorted(p for p in section if p in files and files[p][0] != section[p]),
        added=sorted(p for p in files if p not in section),
        removed=sorted(p for p in section if p not in files),
    )


def explain(root: str, plugin: str, expected: str, files: "Files") -> Differences | None:
    """Return which files differ, or None if the file list does not reproduce the lock."""
    section = read_section(root, plugin, expected)
    return None if section is None else compare(section, files)


def path_in_root(unit: str, path: str, *, is_file: bool) -> str:
    """Return the path below the guarded folder of a file of a unit's tree."""
    return unit if is_file else f"{unit}/{path}"


def render(unit: str, tree: "Tree | VerifiedTree") -> bytes:
    """Return the section of one unit, in the order of ``LC_ALL=C sort``."""
    return b"".join(
        f"{tree.files[path][0].hex()}  {path_in_root(unit, path, is_file=tree.is_file)}\n".encode()
        for path in sorted(tree.files)
    )


def write_file_list(root: str, data: bytes, *, mode: int | None = None) -> None:
    """Replace the file list atomically. It keeps its permissions; a new one gets ``mode``.

    Raises:
        FolderNotFlushed: the file list was replaced.
        OSError: the old file list is unchanged.
    """
    from codegenie.writing import replace  # never loaded by a process that only verifies

    path = f"{root}/{SIDECAR_NAME}"
    replace(path, data, mode=None if os.path.isfile(path) else mode)
