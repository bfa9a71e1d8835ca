"""Compute SHA-256, SHA-512 and the tree digest. No other module imports a hash.

The tree digest is the ``h1`` directory hash of Go's ``dirhash``, in hex: one line per file,
``<sha256>  <path>\\n``, ordered by the path's UTF-8 bytes, and the SHA-256 of those lines.

Threat: an application replaces ``hashlib.sha256``, which is a plain attribute. Rule: take the hash
from the C modules below ``hashlib``. It must be machine code of the expected module, and return the
digest that FIPS 180-4 gives as an example. Otherwise it is not used.
"""

import sys
from _imp import lock_held

from codegenie import _start
from codegenie._start.finder import STANDARD_LIBRARY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from hashlib import _Hash as HASH
    from typing import Any

SWITCH_AFTER = 256 * 1024
"""Bytes. OpenSSL hashes five times faster than CPython's own implementation, but loading it takes
1 to 3 ms, as long as hashing 0.3 to 1 MB. So a process with small plugins never loads it."""

_QUESTION = b"abc"
_ANSWER = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
_ANSWER_512 = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)


def _built_in() -> "Iterator[tuple[str, Callable[..., HASH]]]":
    """Yield CPython's own implementations, each with the name of its module."""
    name = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
    try:
        yield name, _standard_extension(name).sha256
    except (ImportError, AttributeError):
        pass


def _standard_extension(name: str) -> "Any":
    """Import a module in C of the standard library.

    Most builds have it as a file of one folder, which comes last on ``sys.path``. An import
    statement would list every folder before it, which takes as long as loading the file.
    """
    one_import = _start.importlib_names.get("_ModuleLockManager")
    if one_import and name not in sys.modules and name not in sys.builtin_module_names:
        path = f"{STANDARD_LIBRARY}lib-dynload/{name}{_start.extension_suffixes()[0]}"
        try:
            _start.stat(path)
        except (OSError, ValueError):
            pass  # another build: search for it
        else:
            spec = _start.spec_of_file(name, path, loader=_start.FILE_LOADERS[0](name, path))
            with one_import(name):  # another thread may have loaded it since then
                if name not in sys.modules:
                    _start.load_unlocked(spec)
            return sys.modules[name]
    __import__(name)
    return sys.modules[name]


def _openssl() -> "Iterator[tuple[str, Callable[..., HASH]]]":
    """Yield the implementation of OpenSSL, which some builds and sub-interpreters lack."""
    try:
        from _hashlib import openssl_sha256

        yield "_hashlib", openssl_sha256
    except ImportError:
        pass


def _sha512_candidates() -> "Iterator[tuple[str, Callable[..., HASH]]]":
    """Yield the implementations of SHA-512, CPython's own first."""
    try:  # from Python 3.12 on
        from _sha2 import sha512 as built_in  # type: ignore[import-not-found]

        yield "_sha2", built_in
    except ImportError:
        pass
    try:
        from _sha512 import sha512 as until_3_11  # type: ignore[import-not-found]

        yield "_sha512", until_3_11
    except ImportError:
        pass
    try:
        from _hashlib import openssl_sha512

        yield "_hashlib", openssl_sha512
    except ImportError:
        pass


def _genuine(
    candidates: "Iterator[tuple[str, Callable[..., HASH]]]", answer: str = _ANSWER
) -> "Callable[..., HASH] | None":
    """Return the first implementation that is machine code and gives the known answer."""
    for module, found in candidates:
        if _start.is_builtin_of(found, module) and found(_QUESTION).hexdigest() == answer:
            return found
    return None


class _Engine:
    """The SHA-256 in use, and how many bytes were hashed with the slower one."""

    __slots__ = ("_hashed", "_is_slower", "new")

    def __init__(self) -> None:
        self._hashed = 0
        built_in = _genuine(_built_in())
        # An application that has loaded OpenSSL has paid for it already.
        self._is_slower = built_in is not None and "_hashlib" not in sys.modules
        found = built_in if self._is_slower else _genuine(_openssl()) or built_in
        if found is None:
            raise ImportError("no SHA-256 of this interpreter is what it claims to be")
        self.new: Callable[..., HASH] = found

    def expect(self, size: int) -> bool:
        """Count bytes that are about to be hashed, and change to OpenSSL once that pays.

        Never imports under the global import lock, where ``find_spec`` runs: a second thread that
        is importing the same module waits for that lock.

        Returns:
            True if OpenSSL may still pay later, so bytes that can wait should wait.
        """
        if self._is_slower:
            self._hashed += size
            if self._hashed > SWITCH_AFTER and not lock_held():
                self._is_slower = False
                self.new = _genuine(_openssl()) or self.new
        return self._is_slower and self._hashed <= SWITCH_AFTER


_engine = _Engine()
expect = _engine.expect
"""Announce this many bytes for worker threads. Never call it in a worker, because it imports."""


def sha256(data: bytes = b"") -> "HASH":
    """Return a new SHA-256 object. Never imports, so worker threads may call it."""
    return _engine.new(data)


def file_digest(data: bytes) -> bytes:
    """Return the SHA-256 of a file's bytes, as 32 raw bytes."""
    expect(len(data))
    return _engine.new(data).digest()


def sha512_digest(data: bytes) -> bytes:
    """Return the SHA-512 of some bytes, as 64 raw bytes, for signatures by keys.

    Finds the implementation at each call, because few processes need one, and those once or twice.

    Raises:
        ImportError: no implementation of this interpreter is genuine.
    """
    found = _genuine(_sha512_candidates(), _ANSWER_512)
    if found is None:
        raise ImportError("no SHA-512 of this interpreter is what it claims to be")
    return found(data).digest()


def tree_digest_of_digests(pairs: "Iterable[tuple[str, bytes]]") -> str:
    """Return the tree digest of ``(POSIX relative path, raw SHA-256)`` pairs, in any order.

    It is the ``h1`` hash of Go's ``dirhash``, as 64 hexadecimal digits (rule 3.1).

    Raises:
        ValueError: a path is given twice, contains a line feed (then two files could look like
            one), or cannot be encoded in UTF-8.
    """
    # Code-point order of str equals byte order of UTF-8, so this is `LC_ALL=C sort`.
    # A method of a built-in type cannot be replaced, but `sorted` can.
    ordered = [*pairs]
    ordered.sort()
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
    """Return the tree digest of ``(POSIX relative path, file content)`` pairs, in any order.

    Raises:
        ValueError: as ``tree_digest_of_digests``.

    Example:
        tree_digest_of_files([("__init__.py", b""), ("api.py", b"PLUGIN = None\\n")])
    """
    return tree_digest_of_digests((path, file_digest(data)) for path, data in pairs)
