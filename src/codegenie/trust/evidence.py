"""Read the files that a decision about a lock rests on: each opened once, and no link followed.

Threat: an attacker who can write beside the lock plants a link, a FIFO, a huge file, or thousands
of signatures. Rule: read regular files of a limited size, and at most 16 signatures. Anything else
is refused before anything is parsed.
"""

import os
import stat

from codegenie import _start
from codegenie.files import (
    OPEN_FLAGS,
    kind_of,
    open_unblocked,
    read_opened,
    read_regular,
    reason,
)
from codegenie.result import Err
from codegenie.trust.accepted import Untrusted
from codegenie.trust.beside import MAX_LOCK_BYTES as MAX_LOCK_BYTES
from codegenie.trust.beside import contents, read_lock, read_statement
from codegenie.trust.beside import signatures_path as signatures_path
from codegenie.trust.beside import statement_path as statement_path
from codegenie.trust.policy import MAX_POLICY_BYTES
from codegenie.trust.vouching import MAX_SIGNATURES, Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.result import Result

MAX_SIGNATURE_BYTES = 64 * 1024
"""Of a signature file. One of a key has 300 to 1,500 bytes, a Sigstore bundle some 10,000."""


def read(lock: str, policy: str, policy_sha256: str) -> Evidence:
    """Return the bytes of all files, in the order of the rules.

    Args:
        lock: the path of the lock.
        policy: the path of the policy.
        policy_sha256: its pinned digest, in hex.

    Raises:
        Untrusted: a file cannot be read, is not a regular file, or is too large.
    """
    return Evidence(
        policy=contents(read_regular(policy, max_bytes=MAX_POLICY_BYTES), "the policy"),
        policy_sha256=policy_sha256,
        policy_folder=os.path.dirname(policy),
        lock=read_lock(lock),
        statement=read_statement(lock),
        signatures=_read_signatures(signatures_path(lock)),
    )


def _read_signatures(folder: str) -> list[tuple[str, "Result[bytes, str]"]]:
    """Return each signature file by its name, sorted by name.

    Raises:
        Untrusted: there are too many, or the folder cannot be listed.
    """
    try:
        descriptor = _start.open_file(folder, OPEN_FLAGS | os.O_DIRECTORY)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Untrusted(f"{folder} cannot be listed: {reason(error)}") from None
    try:
        names = _first_names(descriptor)
        if len(names) > MAX_SIGNATURES:
            raise Untrusted(f"there are more than {MAX_SIGNATURES} signature files in {folder}")
        names.sort()
        return [(name, _read_signature(descriptor, name)) for name in names]
    except OSError as error:
        raise Untrusted(f"{folder} cannot be listed: {reason(error)}") from None
    finally:
        _start.close(descriptor)


def _first_names(folder: int) -> list[str]:
    """Return the names in a folder, and stop where there are too many."""
    names: list[str] = []
    with _start.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) > MAX_SIGNATURES:
                break
    return names


def _read_signature(folder: int, name: str) -> "Result[bytes, str]":
    """Return the bytes of a signature file, or why it cannot be read: then it does not count."""
    try:
        # Before opening as well, because opening a device can have side effects.
        mode = _start.lstat(name, dir_fd=folder).st_mode
        if not stat.S_ISREG(mode):
            return Err(f"is {kind_of(mode)}, not a regular file")
        descriptor = open_unblocked(name, OPEN_FLAGS, folder=folder)
        opened = _start.fstat(descriptor).st_mode
    except (OSError, ValueError) as error:
        return Err(f"cannot be opened: {reason(error) if isinstance(error, OSError) else error}")
    if not stat.S_ISREG(opened):
        _start.close(descriptor)
        return Err(f"is {kind_of(opened)}, not a regular file")
    data = read_opened(name, descriptor, max_bytes=MAX_SIGNATURE_BYTES)
    return Err(data.error.detail) if isinstance(data, Err) else data
