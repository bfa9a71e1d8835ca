"""SHA-256 and the line format of the tree digest. The only importer of a hash.

The tree digest is the ``h1`` directory hash of Go's ``dirhash``, in hex: one line per file,
``<sha256>  <path>\\n``, ordered by the path's UTF-8 bytes, and the SHA-256 of those lines.

The hash is taken from the C modules beneath ``hashlib``, whose own names are plain attributes that
an application can replace; it is machine code of the module that it claims to be from, and gives
the answer that FIPS 180-4 says, or it is not used.
"""

from codegenie import _start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from hashlib import _Hash as HASH

_QUESTION = b"abc"
_ANSWER = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _candidates() -> "Iterator[tuple[str, Callable[..., HASH]]]":
    """The implementations of this interpreter, each with the module that it must be from."""
    try:  # OpenSSL's is several times faster; not every build, nor every sub-interpreter, has it
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
    """The first SHA-256 of this interpreter that is what it claims to be.

    Raises:
        ImportError: there is none. Then nothing can be verified, and nothing is imported.
    """
    for module, found in _candidates():
        if _start.is_builtin_of(found, module) and found(_QUESTION).hexdigest() == _ANSWER:
            return found
    raise ImportError("no SHA-256 of this interpreter is what it claims to be")


sha256 = _genuine_sha256()
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
    # A method of the built-in type, which nobody can replace, as `sorted` can be.
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
    """The tree digest from ``(POSIX relative path, the file's bytes)`` pairs, in any order.

    Raises:
        ValueError: as ``tree_digest_of_digests``.
    """
    return tree_digest_of_digests((path, file_digest(data)) for path, data in pairs)
