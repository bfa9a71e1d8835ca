"""Compute SHA-256 and the tree digest. No other module imports a hash.

The tree digest is the ``h1`` directory hash of Go's ``dirhash``, in hex: one line per file,
``<sha256>  <path>\\n``, ordered by the path's UTF-8 bytes, and the SHA-256 of those lines.

Threat: an application replaces ``hashlib.sha256``, which is a plain attribute. Rule: take the hash
from the C modules below ``hashlib``. It must be machine code of the expected module, and return the
digest that FIPS 180-4 gives as an example. Otherwise it is not used.
"""

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from hashlib import _Hash as HASH

_QUESTION = b"abc"
_ANSWER = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _candidates() -> "Iterator[tuple[str, Callable[..., HASH]]]":
    """Yield the implementations of this interpreter, each with the name of its module."""
    try:  # OpenSSL's is several times faster, but some builds and sub-interpreters lack it
        from _hashlib import openssl_sha256

        yield "_hashlib", openssl_sha256
    except ImportError:
        pass
    try:  # from Python 3.12 on
        from _sha2 import sha256 as built_in  # type: ignore[import-not-found]

        yield "_sha2", built_in
    except ImportError:
        pass
    try:
        from _sha256 import sha256 as until_3_11  # type: ignore[import-not-found]

        yield "_sha256", until_3_11
    except ImportError:
        pass


def _genuine_sha256() -> "Callable[[bytes], HASH]":
    """Return the first genuine SHA-256 of this interpreter.

    Raises:
        ImportError: there is none, so nothing can be verified and no plugin is imported.
    """
    for module, found in _candidates():
        if _start.is_builtin_of(found, module) and found(_QUESTION).hexdigest() == _ANSWER:
            return found
    raise ImportError("no SHA-256 of this interpreter is what it claims to be")


sha256 = _genuine_sha256()
"""The hash constructor, bound when this module is loaded."""


def file_digest(data: bytes) -> bytes:
    """Return the SHA-256 of a file's bytes, as 32 raw bytes."""
    return sha256(data).digest()


def tree_digest_of_digests(pairs: "Iterable[tuple[str, bytes]]") -> str:
    """Return the tree digest of ``(POSIX relative path, raw SHA-256)`` pairs, in any order.

    Raises:
        ValueError: a path is given twice, contains a line feed (then two files could look like
            one), or cannot be encoded in UTF-8.
    """
    # Code-point order of str equals byte order of UTF-8, so this is `LC_ALL=C sort`.
    # A method of a built-in type cannot be replaced, but `sorted` can.
    ordered = [*pairs]
    ordered.sort()
    lines = sha256(b"")
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
    """Return the tree digest of ``(POSIX relative path, file content)`` pairs, in any order.

    Raises:
        ValueError: as ``tree_digest_of_digests``.
    """
    return tree_digest_of_digests((path, file_digest(data)) for path, data in pairs)
