"""Read a lock under a pinned policy: no byte of it is parsed before enough signers vouch for it.

One ``TrustedLock`` belongs to one guarded folder of one process. Its verdict is never written
anywhere: the next process checks everything again.
"""

from codegenie import _start
from codegenie._start.own_modules import Late, load
from codegenie.result import Err, Ok
from codegenie.trust import accepted, beside
from codegenie.trust.accepted import Untrusted
from codegenie.trust.pinned import AT_INSTALL, TrustPin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from codegenie.refusals import kinds
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result
    from codegenie.trust.accepted import Vouched
    from codegenie.trust.vouching import Verifier
else:
    kinds = Late("refusals.kinds")


class TrustedLock:
    """The lock of one folder, and the statement that vouches for it in this process.

    Attributes:
        pin: the trust settings of the folder.
        path: the path of the lock.
        vouched: the accepted statement; None until one was accepted.
    """

    __slots__ = ("_modules", "_verifiers", "path", "pin", "vouched")

    def __init__(
        self, pin: TrustPin, path: str, verifiers: "Mapping[str, Verifier] | None" = None
    ) -> None:
        self.pin = pin
        self.path = path
        self.vouched: Vouched | None = None
        self._verifiers = verifiers
        self._modules: Any = None
        if pin.at != AT_INSTALL:
            self._modules = load("trust.evidence"), load("trust.vouching")

    def read(self) -> "Result[bytes, Refusal]":
        """Return the bytes of the lock, after the check of its statement and signatures.

        Any exception is a refusal.
        """
        return self._guarded(fresh=True)

    def read_again(self) -> "Result[bytes, Refusal]":
        """Return the bytes of the lock that was accepted before in this process; else check it.

        For ``scope="plugin"``, which reads the lock for each unit. Threat: an attacker replaces the
        lock between two units. Rule: its digest is that of the accepted statement.
        """
        return self._guarded(fresh=False)

    def covers(self, name: str, data: bytes) -> bool:
        """Return True if the accepted statement names ``data`` under ``name``."""
        return self.vouched is not None and self.vouched.covers(name, data)

    def _guarded(self, *, fresh: bool) -> "Result[bytes, Refusal]":
        """Read the lock, and turn each failure into a refusal.

        Threat: a crafted file makes a parser raise an exception that the caller takes for something
        else. Rule: any exception is ``UntrustedLock``. Consequence: a defect of a parser refuses
        plugins and never accepts a lock.
        """
        try:
            return Ok(self._read(fresh))
        except Untrusted as error:
            return Err(
                kinds.untrusted_lock(
                    self.path,
                    error.detail,
                    needed=error.needed,
                    counted=error.counted,
                    signatures=error.signatures,
                    remedy=error.remedy,
                )
            )
        except Exception as error:
            detail = f"the check failed: {type(error).__name__}: {error}"
            return Err(kinds.untrusted_lock(self.path, detail, needed=0, counted=(), signatures=()))

    def _read(self, fresh: bool) -> bytes:
        vouched = self.vouched
        if vouched is not None and not fresh:
            data = beside.read_lock(self.path)
            if not vouched.covers(accepted.LOCK_SUBJECT, data):
                raise Untrusted("it changed after this process had accepted it")
            return data
        try:
            data, vouched = self._check(_now())
        except BaseException:
            self.vouched = None
            raise
        # Not None before: another thread may load a pack by the accepted statement now.
        self.vouched = vouched
        return data

    def _check(self, now: float) -> "tuple[bytes, Vouched]":
        """Return the lock and the statement that vouches for it.

        The lock is the buffer whose digest was compared. It must not be read from the disk again.
        """
        pin = self.pin
        if pin.at == AT_INSTALL:
            data = beside.read_lock(self.path)
            said = beside.read_statement(self.path)
            return data, accepted.check_pinned(said, pin.statement, data, now=now)
        evidence, vouching = self._modules
        found = evidence.read(self.path, pin.policy, pin.sha256)
        vouched: Vouched = vouching.check(
            found,
            floor=pin.floor,
            floor_statement=pin.statement,
            now=now,
            verifiers=self._verifiers,
        )
        return found.lock, vouched


def _now() -> float:
    """Return the time of a clock that the application cannot have replaced.

    Raises:
        Untrusted: this process has no such clock.
    """
    if not _start.is_builtin_of(_start.clock, "time"):
        raise Untrusted("the clock of this process was replaced before the guard was installed")
    return _start.clock()
