"""The statement that a process accepts, and the checks that need no signature.

A process whose installation pinned a statement loads this module alone, so that its start costs no
more than a few digests.
"""

from codegenie import _start
from codegenie.hashing import file_digest
from codegenie.trust import statement, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.trust.statement import Statement

LOCK_SUBJECT = statement.LOCK_SUBJECT

CLOCK_TOLERANCE = 300
"""Seconds that a statement may be from the future: the clocks of two machines differ."""


class Vouched:
    """A lock for which enough signers vouch.

    Attributes:
        statement: its content.
        statement_sha256: the digest of the file, in hex.
        signers: the names of the signers that count; empty for a pinned statement.
    """

    __slots__ = ("signers", "statement", "statement_sha256")

    def __init__(
        self, statement: "Statement", statement_sha256: str, signers: tuple[str, ...]
    ) -> None:
        self.statement = statement
        self.statement_sha256 = statement_sha256
        self.signers = signers

    @property
    def lock_sha256(self) -> str:
        """The digest of the lock, in hex."""
        return self.statement.subjects[LOCK_SUBJECT]

    def as_dict(self) -> "dict[str, object]":
        """Return the statement as plain data: its signers, its number, and how long it counts."""
        expires = self.statement.expires
        left = None if expires is None else int(expires - _start.clock()) // times.SECONDS_OF_A_DAY
        return {
            "signers": list(self.signers),
            "sequence": self.statement.sequence,
            "statement": self.statement_sha256,
            "issued": times.render(self.statement.issued),
            "expires": None if expires is None else times.render(expires),
            "days_left": left,
        }

    def covers(self, name: str, data: bytes) -> bool:
        """Return True if the statement names ``data``, byte for byte, under ``name``."""
        return self.statement.subjects.get(name) == file_digest(data).hex()


class Untrusted(Exception):
    """Not enough signers vouch for the lock, or their statement is not accepted.

    Attributes:
        detail: one sentence.
        needed: the threshold; 0 if no policy was read.
        counted: the names of the signers that count.
        signatures: one line for each signature file that was checked.
        remedy: what helps, if it is not a matter of the release; empty otherwise.
    """

    def __init__(
        self,
        detail: str,
        *,
        needed: int = 0,
        counted: tuple[str, ...] = (),
        signatures: tuple[str, ...] = (),
        remedy: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.needed = needed
        self.counted = counted
        self.signatures = signatures
        self.remedy = remedy


def check_pinned(data: bytes, pinned: str, lock: bytes, *, now: float) -> Vouched:
    """Return the statement that ``guard install --trust-at install`` pinned by its digest.

    The installation checked its signatures. Its time, and the lock, are checked now.

    Raises:
        Untrusted: it is another statement, it has expired, or it names another lock.
    """
    digest = file_digest(data).hex()
    if digest != pinned:
        raise Untrusted(
            "the statement is not the one that was pinned",
            remedy="restore the installed release, or install the guard again with "
            "--trust-at install",
        )
    try:
        content = statement.parse(data)
        check_time(content, now)
        check_lock(content, lock)
    except ValueError as error:
        raise Untrusted(f"the statement {error}") from None
    return Vouched(content, digest, ())


def check_lock(content: "Statement", lock: bytes) -> None:
    """Check that a statement is about these bytes of a lock.

    Raises:
        ValueError: it is about another lock.
    """
    if content.subjects[LOCK_SUBJECT] != file_digest(lock).hex():
        raise ValueError("is about another lock")


def check_time(content: "Statement", now: float) -> None:
    """Check that a statement is neither from the future nor expired.

    Raises:
        ValueError: it is.
    """
    if content.issued > now + CLOCK_TOLERANCE:
        raise ValueError(f"is from the future, {times.render(content.issued)}: check the clock")
    if content.expires is not None and now >= content.expires:
        raise ValueError(f"expired at {times.render(content.expires)}")
