"""Read the lock and the statement beside it: each opened once, no link followed, capped."""

import os

from codegenie.files import read_regular
from codegenie.result import Err
from codegenie.trust.accepted import Untrusted
from codegenie.trust.statement import MAX_STATEMENT_BYTES, STATEMENT_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.files import Unreadable
    from codegenie.result import Result

SIGNATURES_NAME = "PLUGINS.signatures"

MAX_LOCK_BYTES = 64 * 1024
"""As ``codegenie.integrity.lock`` reads it."""


def statement_path(lock: str) -> str:
    """Return the path of the statement about a lock: beside it."""
    return f"{os.path.dirname(lock)}/{STATEMENT_NAME}"


def signatures_path(lock: str) -> str:
    """Return the folder of the signatures of the statement about a lock."""
    return f"{os.path.dirname(lock)}/{SIGNATURES_NAME}"


def read_lock(lock: str) -> bytes:
    """Return the bytes of a lock.

    Raises:
        Untrusted: it cannot be read.
    """
    return contents(read_regular(lock, max_bytes=MAX_LOCK_BYTES), "the lock")


def read_statement(lock: str) -> bytes:
    """Return the bytes of the statement about a lock.

    Raises:
        Untrusted: it cannot be read.
    """
    path = statement_path(lock)
    return contents(read_regular(path, max_bytes=MAX_STATEMENT_BYTES), "the statement")


def contents(data: "Result[bytes, Unreadable]", what: str) -> bytes:
    """Return the bytes that were read.

    Raises:
        Untrusted: they were not.
    """
    if isinstance(data, Err):
        raise Untrusted(f"{what} {data.error.detail}: {data.error.path}")
    return data.value
