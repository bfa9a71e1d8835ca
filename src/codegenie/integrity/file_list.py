"""``PLUGINS.sha256``: file digests that explain a mismatch. Never trusted to allow anything.

Lines ``<64 hex>  <plugin id>/<path>``, as ``sha256sum -c`` reads them. A plugin's section counts
only if it reproduces the digest that the lock pins; then it can say which files differ.
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

    from codegenie.integrity.walk import Files

SIDECAR_NAME = "PLUGINS.sha256"
MAX_SIDECAR_BYTES = 64 * 1024 * 1024


MAX_SECTION_BYTES = 8 * 1024 * 1024
"""Of the lines of one plugin, about 80 000 files. What is kept of them takes some times that."""

MAX_LINE_BYTES = 64 * 1024
"""More than a path has in a tree that can be pinned."""

_BLOCK = 1024 * 1024


class _NotBelieved(Exception):
    """The section explains nothing; never leaves this module."""


def read_section(root: str, plugin: str, expected: str) -> dict[str, bytes] | None:
    """Return the file digests of one plugin, or None unless they reproduce ``expected``.

    Anyone who can change the folder can write this file. So it is read in blocks, and only lines of
    the plugin become objects.
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
        for digest, name in _lines_of(descriptor, f"  {plugin}/".encode()):
            size += len(digest) + len(name)
            _add(section, digest, name)
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
    """Yield digest and path of the lines whose path begins as ``separator`` ends."""
    rest = b""
    left = MAX_SIDECAR_BYTES
    while block := _start.read(descriptor, _BLOCK):
        left -= len(block)  # it may grow while it is read
        data = rest + block
        end = data.rfind(b"\n") + 1
        yield from _lines_in(data[:end], separator)
        rest = data[end:]
        if left < 0 or len(rest) > MAX_LINE_BYTES:
            raise _NotBelieved
    yield from _lines_in(rest, separator)


def _lines_in(data: bytes, separator: bytes) -> "Iterator[tuple[bytes, bytes]]":
    """As ``_lines_of``, of whole lines; a line of another plugin costs no step of its own."""
    at = data.find(separator)
    while at != -1:
        start = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at)
        end = len(data) if end == -1 else end
        # The first two blanks are where the digest ends; later ones are a part of the path.
        if data.find(b"  ", start, at + 2) == at:
            yield data[start:at], data[at + len(separator) : end]
        at = data.find(separator, end)


def compare(section: "Mapping[str, bytes]", files: "Files") -> Differences:
    """What differs between a believed section and the files that a walk found."""
    return Differences(
        changed=sorted(p for p in section if p in files and files[p][0] != section[p]),
        added=sorted(p for p in files if p not in section),
        removed=sorted(p for p in section if p not in files),
    )


def explain(root: str, plugin: str, expected: str, files: "Files") -> Differences | None:
    """Which files differ, where the sidecar can prove it; otherwise ``None``."""
    section = read_section(root, plugin, expected)
    return None if section is None else compare(section, files)


def render(trees: "Mapping[str, Files]") -> bytes:
    """The sidecar of all plugins, ordered as ``sort`` orders it."""
    return b"".join(
        f"{trees[plugin][path][0].hex()}  {plugin}/{path}\n".encode()
        for plugin in sorted(trees)
        for path in sorted(trees[plugin])
    )


def write(root: str, data: bytes, *, mode: int | None = None) -> None:
    """Replace the sidecar atomically, keeping its permissions; a new one gets ``mode``.

    Raises:
        FolderNotFlushed: the sidecar was replaced.
        OSError: the old sidecar is untouched.
    """
    from codegenie.writing import replace  # a process that only verifies does without

    path = f"{root}/{SIDECAR_NAME}"
    replace(path, data, mode=None if os.path.isfile(path) else mode)
