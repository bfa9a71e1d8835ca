"""Write the statement about a lock, and signatures of it.

``ssh-keygen`` makes the signatures, so keys may be in a file, in an agent or in a security key, and
no private key is ever read here. A signer vouches only for bytes that this command has checked: the
lock, and packs that it has compiled again.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codegenie import writing
from codegenie.files import Unreadable, as_locked, read_regular
from codegenie.hashing import file_digest
from codegenie.integrity import packs
from codegenie.result import Err, Result
from codegenie.trust import evidence, sshsig, statement
from codegenie.trust.statement import LOCK_SUBJECT, Statement
from codegenie.trust.vouching import MAX_SIGNATURES, SUFFIXES

KEY_SUFFIX, BUNDLE_SUFFIX = SUFFIXES

Signer = Callable[[bytes], bytes]
"""Returns the signature file of some bytes. Raises ``NotSigned``."""


class NotSigned(Exception):
    """The command cannot sign, and nothing was written. The text says why."""


@dataclass(frozen=True)
class Request:
    """The wishes of the signer.

    Attributes:
        lock: the path of the lock.
        signer: the name of the signature file.
        suffix: its suffix: that of a key's signature, or of a Sigstore bundle.
        subjects: the digest of each checked index, in hex, by its path beside the lock.
        application: the application; None for that of the present statement.
        sequence: the number of a new statement; None for the next one.
        lifetime: seconds until a new statement expires, or None.
        renew: write a new statement even if nothing has changed.
    """

    lock: str
    signer: str
    suffix: str
    subjects: Mapping[str, str]
    application: str | None = None
    sequence: int | None = None
    lifetime: int | None = None
    renew: bool = False


@dataclass(frozen=True)
class Signed:
    """The files that were written.

    Attributes:
        content: the content of the statement.
        data: its bytes.
        is_new: False if a signature was added to the present statement.
        signature: the path of the signature file.
        removed: signature files of the statement that was replaced.
    """

    content: Statement
    data: bytes
    is_new: bool
    signature: str
    removed: tuple[str, ...]


def index_digests(lock: str) -> dict[str, str]:
    """Return the digest of each index of bytecode beside a lock, in hex, by its path there."""
    folder = Path(lock).parent
    digests: dict[str, str] = {}
    for path in sorted(folder.glob(f"{packs.FOLDER_NAME}/*/*{packs.INDEX_SUFFIX}")):
        data = read_regular(str(path), max_bytes=packs.MAX_INDEX_BYTES)
        if not isinstance(data, Err):
            name = as_locked(path.relative_to(folder).as_posix())
            digests[name] = file_digest(data.value).hex()
    return digests


def unnamed_indexes(lock: str, subjects: Mapping[str, str]) -> dict[str, str]:
    """Return each index of another interpreter that a statement does not name, and why.

    Args:
        lock: the path of the lock.
        subjects: the SHA-256 of each file that the statement names, in hex.
    """
    own = packs.folder_for(lock)
    tag = own.rpartition("/")[2] if own else ""
    return {
        name: "the statement names another index" if name in subjects else "no statement names it"
        for name, digest in index_digests(lock).items()
        if subjects.get(name) != digest and name.split("/")[1] != tag
    }


@dataclass(frozen=True)
class Outdated:
    """The reason why a statement does not vouch for the files that a command has written.

    Attributes:
        reason: continues the statement's path.
        is_damaged: the statement has to be removed before the next one is signed.
    """

    reason: str
    is_damaged: bool = False


def outdated_statement(lock: str, compiled: Iterable[str] = ()) -> Outdated | None:
    """Return why the statement beside a lock has to be signed again; None if there is none.

    Does not check signatures, a policy or the time.

    Args:
        lock: the path of the lock.
        compiled: plugins whose packs were just written.
    """
    refuses = "so a guard with a trust policy refuses every plugin"
    data, locked = _beside(lock), read_regular(lock, max_bytes=evidence.MAX_LOCK_BYTES)
    if data is None or isinstance(locked, Err):
        return None
    try:
        if isinstance(data, Err):
            raise ValueError(data.error.detail)
        subjects = statement.parse(data.value).subjects
    except ValueError as error:
        return Outdated(f"is not valid ({error}), {refuses}; remove it", is_damaged=True)
    if subjects[LOCK_SUBJECT] != file_digest(locked.value).hex():
        return Outdated(f"is about another lock, {refuses}")
    digests = index_digests(lock)
    unnamed = [
        plugin
        for plugin in compiled
        for name in [packs.index_subject(lock, plugin)]
        if name in digests and subjects.get(name) != digests[name]
    ]
    names = ", ".join(unnamed)
    unused = (
        f"does not name the bytecode of {names}, so a guard with a trust policy does not use it"
    )
    return Outdated(unused) if unnamed else None


def sign(request: Request, make: Signer) -> Signed:
    """Write the statement, if a new one is needed, and one signature of it.

    The signature is made first, so nothing changes if the signer declines. Signatures of a
    statement that is replaced are removed: they vouch for nothing.

    Raises:
        NotSigned: nothing was written.
        OSError: a file cannot be written.
    """
    folder = evidence.signatures_path(request.lock)
    if os.path.islink(folder):
        # Signatures of an earlier statement are removed: through a link, those of something else.
        raise NotSigned(f"{folder} is a symbolic link: remove it")
    present = _present(request.lock)
    content, is_new = _content(request, present)
    data = statement.render(content) if is_new or present is None else present[1]
    if len(data) > statement.MAX_STATEMENT_BYTES:
        raise NotSigned(f"the statement would be larger than {statement.MAX_STATEMENT_BYTES} bytes")
    path = f"{folder}/{request.signer}{request.suffix}"
    outdated = list(_signature_files(folder)) if is_new else []
    if not is_new and len({*_signature_files(folder), path}) > MAX_SIGNATURES:
        raise NotSigned(f"a statement has at most {MAX_SIGNATURES} signatures")
    made = make(data)
    if is_new:
        writing.replace(evidence.statement_path(request.lock), data)
        for old in outdated:
            os.unlink(old)
    _make_folder(folder)
    writing.replace(path, made)
    removed = tuple(old for old in outdated if old != path)
    return Signed(content, data, is_new, path, removed)


def ssh_signer(key: str) -> Signer:
    """Return a signer that calls ``ssh-keygen -Y sign``.

    Args:
        key: a private key, or the public half of a key that an agent or a security key holds.
    """

    def make(data: bytes) -> bytes:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", sshsig.NAMESPACE.decode(), "-f", key]
        try:
            # Its messages and questions go to the terminal: a security key has to be touched.
            done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=False)  # noqa: S603
        except FileNotFoundError:
            raise NotSigned("ssh-keygen is missing: install OpenSSH") from None
        if done.returncode != 0:
            raise NotSigned(f"ssh-keygen has not signed (status {done.returncode})")
        _check(done.stdout, data)
        return done.stdout

    return make


def fingerprint_of(signature: bytes) -> str:
    """Return the fingerprint of the key that made a signature."""
    return sshsig.fingerprint(sshsig.parse(signature).key)


def _check(signature: bytes, data: bytes) -> None:
    """Check a new signature as a guard will.

    Raises:
        NotSigned: it does not verify.
    """
    try:
        parsed = sshsig.parse(signature)
        if parsed.key_type in sshsig.KEY_TYPES:
            sshsig.verify(parsed, data)
    except ValueError as error:
        raise NotSigned(f"the signature that ssh-keygen made {error}") from None


def _present(lock: str) -> tuple[Statement, bytes] | None:
    """Return the statement beside the lock, if there is one."""
    data = _beside(lock)
    if data is None:
        return None
    if isinstance(data, Err):
        raise NotSigned(str(data.error))
    try:
        return statement.parse(data.value), data.value
    except ValueError as error:
        path = evidence.statement_path(lock)
        raise NotSigned(f"{path} {error}: remove it, and sign with --sequence") from None


def _beside(lock: str) -> Result[bytes, Unreadable] | None:
    """Return the bytes of the statement beside the lock; None if there is none."""
    path = evidence.statement_path(lock)
    if not os.path.lexists(path):
        return None
    return read_regular(path, max_bytes=statement.MAX_STATEMENT_BYTES)


def _content(request: Request, present: tuple[Statement, bytes] | None) -> tuple[Statement, bool]:
    """Return the statement to sign, and True if it is a new one."""
    lock = read_regular(request.lock, max_bytes=evidence.MAX_LOCK_BYTES)
    if isinstance(lock, Err):
        raise NotSigned(str(lock.error))
    subjects = {**request.subjects, LOCK_SUBJECT: file_digest(lock.value).hex()}
    now = int(time.time())
    old = present[0] if present else None
    application = request.application or (old.application if old else "")
    if not application:
        raise NotSigned("the application is not known: give --application")
    if old is not None and _still_says(old, application, subjects, request, now):
        _check_leap(old.sequence, request)
        return old, False
    sequence = request.sequence or (old.sequence + 1 if old else 1)
    if old is not None and sequence <= old.sequence:
        raise NotSigned(
            f"the present statement has the number {old.sequence}: give a higher --sequence"
        )
    _check_leap(sequence, request)
    try:
        statement.application_of(application)
        statement.sequence_of(sequence)
    except ValueError as error:
        raise NotSigned(str(error)) from None
    expires = None if request.lifetime is None else now + request.lifetime
    return Statement(application, sequence, now, expires, subjects), True


def _check_leap(sequence: int, request: Request) -> None:
    """Check a number that comes from the present statement, and not from the signer.

    Threat: an attacker plants an unsigned statement with the largest number. A signer signs it, or
    the next number. After an installation, no later statement counts. Rule: sign the upper half of
    all numbers only if the signer gives the number. So a planted statement leaves numbers enough.

    Raises:
        NotSigned: the number is in the upper half, and the signer has not given it.
    """
    if sequence > statement.MAX_NEXT_SEQUENCE and request.sequence is None:
        raise NotSigned(
            f"number {sequence} leaves too few later ones. The present statement may be planted: "
            "remove it, and give --sequence"
        )


def _still_says(
    old: Statement, application: str, subjects: Mapping[str, str], request: Request, now: int
) -> bool:
    """Return True if the present statement is the one to sign.

    Threat: an attacker writes a statement about the lock that hardly ever expires, and waits for a
    signer. Rule: a signer who gives a lifetime signs no statement that counts longer.
    """
    if request.renew or request.sequence not in (None, old.sequence):
        return False
    latest = None if request.lifetime is None else now + request.lifetime
    if latest is not None and (old.expires is None or old.expires > latest):
        return False
    is_over = old.expires is not None and old.expires <= now
    return not is_over and old.application == application and dict(old.subjects) == dict(subjects)


def _signature_files(folder: str) -> Iterator[str]:
    if not os.path.isdir(folder):
        return
    for entry in sorted(os.listdir(folder)):
        if entry.endswith((KEY_SUFFIX, BUNDLE_SUFFIX)):
            yield f"{folder}/{entry}"


def _make_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        writing.make_folder(folder, mode=0o755)
