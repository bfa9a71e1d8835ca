"""SHA-256 and the line format of the tree digest. The only importer of ``hashlib``.

The tree digest is the ``h1`` directory hash of Go's ``dirhash``, in hex: one line per file,
``<sha256>  <path>\\n``, ordered by the path's UTF-8 bytes, and the SHA-256 of those lines.
"""

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

sha256 = hashlib.sha256
"""The hash constructor, bound when this module is loaded."""


def file_digest(data: bytes) -> bytes:
    """The SHA-256 of a file's bytes, 32 raw bytes."""
    return sha256(data).digest()


def tree_digest_of_digests(pairs: "Iterable[tuple[str, bytes]]") -> str:
    """The tree digest from ``(POSIX relative path, raw SHA-256 of the file)`` pairs, in any order.

    Raises:
        ValueError: a path stands twice, holds a line feed (two files could then pass for one), or
            is not text that UTF-8 can hold.
    """
    # Code-point order of str equals byte order of UTF-8, so this is `LC_ALL=C sort`.
    ordered = sorted(pairs)
    lines = sha256()
    previous: str | None = None
    for path, digest in ordered:
        if path == previous:
            raise ValueError(f"the path {path!r} is given twice")
        if "\n" in path:
            raise ValueError(f"the path {path!r} holds a line feed")
        lines.update(f"{digest.hex()}  {path}\n".encode())
        previous = path
    return lines.hexdigest()


def tree_digest_of_files(pairs: "Iterable[tuple[str, bytes]]") -> str:
    """The tree digest from ``(POSIX relative path, the file's bytes)`` pairs, in any order.

    Raises:
        ValueError: as ``tree_digest_of_digests``.
    """
    return tree_digest_of_digests((path, file_digest(data)) for path, data in pairs)
