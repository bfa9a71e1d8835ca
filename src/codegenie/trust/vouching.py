"""Decide whether enough signers vouch for a lock, before the lock is parsed.

The steps, in this order; the first that fails is the answer:

1. the policy is the one whose digest was pinned, and parses;
2. each signature file is checked against the bytes of the statement. A signature counts if it is by
   a signer of the policy that is neither revoked nor past its time. One signer counts once, and
   checking stops when the threshold is reached;
3. only now is the statement parsed, because until here anyone may have written it;
4. the statement is for this application, is not older than the floor, not revoked, not from the
   future, not expired, and not too old;
5. the statement names the SHA-256 of the very lock bytes that the caller goes on to parse.

Nothing is remembered: a process that decides again checks everything again. ``evidence`` reads the
files, each once.

Not checked here: Sigstore bundles, and keys that only a library can verify. The caller may give
``verifiers`` for them. Without one, such a signature is reported and does not count.
"""

from codegenie.hashing import file_digest
from codegenie.result import Err, Ok
from codegenie.text import shortened
from codegenie.trust import policy as policies
from codegenie.trust import sshsig, statement, times
from codegenie.trust.accepted import (
    CLOCK_TOLERANCE as CLOCK_TOLERANCE,
)
from codegenie.trust.accepted import (
    Untrusted as Untrusted,
)
from codegenie.trust.accepted import (
    Vouched as Vouched,
)
from codegenie.trust.accepted import (
    check_lock as check_lock,
)
from codegenie.trust.accepted import (
    check_pinned as check_pinned,
)
from codegenie.trust.accepted import (
    check_time as check_time,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from codegenie.result import Result
    from codegenie.trust.policy import Policy, Signer
    from codegenie.trust.statement import Statement

    # Takes the statement, the signature file and the signer of the policy who may have made it.
    # Returns an error, as a predicate of the signature file ("is for another issuer"), or None as
    # the value. Whatever it raises counts as an error too.
    Verifier: TypeAlias = Callable[[bytes, bytes, Signer], Result[None, str]]

MAX_SIGNATURES = 16
"""Signature files beside a statement. One more, and the lock is refused."""

SSH = "ssh"
SIGSTORE = "sigstore"
"""The kinds of signature files. A caller may give a verifier of Sigstore bundles."""

OTHER_KEYS = "other keys"
"""Names the verifier of SSH signatures by keys other than Ed25519."""

SUFFIXES = {".sig": SSH, ".sigstore.json": SIGSTORE}
"""Of signature files."""

_LONGEST_REASON = 400
"""Characters of a reason that a library gives."""


class Evidence:
    """The bytes that a decision rests on, each read once.

    Attributes:
        policy: the policy file.
        policy_sha256: the digest that was pinned, in hex.
        policy_folder: the folder of the policy file.
        lock: the lock.
        statement: the statement.
        signatures: each signature file by its name, sorted by name, or why it cannot be read.
    """

    __slots__ = ("lock", "policy", "policy_folder", "policy_sha256", "signatures", "statement")

    def __init__(
        self,
        *,
        policy: bytes,
        policy_sha256: str,
        policy_folder: str = "",
        lock: bytes,
        statement: bytes,
        signatures: "Sequence[tuple[str, Result[bytes, str]]]",
    ) -> None:
        self.policy = policy
        self.policy_sha256 = policy_sha256
        self.policy_folder = policy_folder
        self.lock = lock
        self.statement = statement
        self.signatures = signatures


class SignatureVerdict:
    """The verdict on one signature file: the signer it counts for, or why it does not count."""

    __slots__ = ("file", "reason", "signer")

    def __init__(self, file: str, *, signer: str = "", reason: str = "") -> None:
        self.file = file
        self.signer = signer
        self.reason = reason

    def __str__(self) -> str:
        said = f"counts for {self.signer}" if self.signer else self.reason
        return f"{shortened(self.file)}: {shortened(said, _LONGEST_REASON)}"


def check(
    evidence: Evidence,
    *,
    floor: int = 0,
    floor_statement: str = "",
    now: float,
    verifiers: "Mapping[str, Verifier] | None" = None,
) -> Vouched:
    """Return the statement that vouches for a lock.

    Args:
        evidence: the bytes of all files.
        floor: the lowest sequence number that is accepted.
        floor_statement: the digest of the statement that had the number ``floor``, in hex. Another
            statement with that number is refused. Empty: any is accepted.
        now: seconds since the epoch, from a clock that the application cannot have replaced.
        verifiers: how to verify the signatures of each further kind.

    Raises:
        Untrusted: with a verdict on each signature.
    """
    policy = _policy(evidence)
    verdicts = _verdicts(policy, evidence, now, verifiers or {})
    counted = tuple(verdict.signer for verdict in verdicts if verdict.signer)

    def untrusted(detail: str) -> Untrusted:
        lines = tuple(str(verdict) for verdict in verdicts)
        return Untrusted(detail, needed=policy.threshold, counted=counted, signatures=lines)

    if len(counted) < policy.threshold:
        raise untrusted(f"{len(counted)} of {policy.threshold} needed signers vouch for it")
    digest = file_digest(evidence.statement).hex()
    try:
        content = statement.parse(evidence.statement)
        _check_floor(content, digest, floor, floor_statement)
        _check_policy(policy, content, digest, now)
        check_time(content, now)
        check_lock(content, evidence.lock)
    except ValueError as error:
        raise untrusted(f"the statement {error}") from None
    return Vouched(content, digest, counted)


def _check_floor(content: "Statement", digest: str, floor: int, floor_statement: str) -> None:
    """Check that a statement is not older than the one that was seen.

    Raises:
        ValueError: it is, or it has the same number and other content.
    """
    if content.sequence < floor:
        raise ValueError(f"has the number {content.sequence}, but number {floor} was seen before")
    if content.sequence == floor and floor_statement and digest != floor_statement:
        raise ValueError(f"has the number {floor} of another statement that was seen before")


def _check_policy(policy: "Policy", content: "Statement", digest: str, now: float) -> None:
    """Check that the policy accepts a statement that enough signers have signed.

    Raises:
        ValueError: it does not.
    """
    if content.application != policy.application:
        raise ValueError(f"is for {content.application!r}, not for {policy.application!r}")
    if digest in policy.revoked:
        raise ValueError("is revoked")
    if content.expires is None and policy.expiry_required:
        raise ValueError("does not say when it expires, and the policy requires it")
    if policy.max_age_days is not None:
        oldest = now - policy.max_age_days * times.SECONDS_OF_A_DAY
        if content.issued < oldest:
            raise ValueError(f"is older than {policy.max_age_days} days")


def _policy(evidence: Evidence) -> "Policy":
    if file_digest(evidence.policy).hex() != evidence.policy_sha256:
        raise Untrusted(
            "the policy is not the one that was pinned",
            remedy="restore the policy, or install the guard again with --trust",
        )
    try:
        return policies.parse(evidence.policy, folder=evidence.policy_folder)
    except ValueError as error:
        raise Untrusted(f"the policy {error}") from None


def _verdicts(
    policy: "Policy", evidence: Evidence, now: float, verifiers: "Mapping[str, Verifier]"
) -> list[SignatureVerdict]:
    """Check signature files until the threshold is reached."""
    verdicts: list[SignatureVerdict] = []
    counted: set[str] = set()
    for file, data in evidence.signatures[:MAX_SIGNATURES]:
        if len(counted) == policy.threshold:
            break
        try:
            if isinstance(data, Err):
                raise ValueError(data.error)
            signer = _signer_of(policy, file, data.value, evidence.statement, verifiers)
            _check_signer(policy, signer, now)
            if signer.name in counted:
                raise ValueError(f"is by {signer.name} again, and a signer counts once")
        except Exception as error:  # whatever it is: this signature does not count
            reason = str(error) or type(error).__name__
            verdicts.append(SignatureVerdict(file, reason=reason))
            continue
        counted.add(signer.name)
        verdicts.append(SignatureVerdict(file, signer=signer.name))
    return verdicts


def _signer_of(
    policy: "Policy",
    file: str,
    data: bytes,
    signed: bytes,
    verifiers: "Mapping[str, Verifier]",
) -> "Signer":
    """Return the signer of the policy who made a signature file over ``signed``.

    Raises:
        ValueError: there is none, with a sentence on why.
    """
    if _kind_of(file) == SIGSTORE:
        return _identity_of(policy, data, signed, verifiers.get(SIGSTORE))
    signature = sshsig.parse(data)
    signer = _owner(policy, signature.key)
    if signature.key_type in sshsig.KEY_TYPES:
        sshsig.verify(signature, signed)
    else:
        _apply(verifiers.get(OTHER_KEYS), signed, data, signer)
    return signer


def _kind_of(file: str) -> str:
    for suffix, kind in SUFFIXES.items():
        if file.endswith(suffix):
            return kind
    raise ValueError(f"is not a signature file: its name ends in neither {' nor '.join(SUFFIXES)}")


def _owner(policy: "Policy", key: bytes) -> "Signer":
    for signer in policy.signers.values():
        if signer.key == key:
            return signer
    raise ValueError(f"is by the key {sshsig.fingerprint(key)}, which the policy does not name")


def _identity_of(
    policy: "Policy", data: bytes, signed: bytes, verifier: "Verifier | None"
) -> "Signer":
    """Return the signer whose Sigstore identity made a bundle.

    Raises:
        ValueError: no identity of the policy did, with the reason for each.
    """
    reasons: list[str] = []
    for signer in policy.signers.values():
        if not signer.sigstore:
            continue
        try:
            _apply(verifier, signed, data, signer)
        except Exception as error:  # another identity of the policy may have made it
            reasons.append(f"{signer.name}: {str(error) or type(error).__name__}")
        else:
            return signer
    if not reasons:
        raise ValueError("is a Sigstore bundle, and the policy names no Sigstore identity")
    raise ValueError("; ".join(reasons))


def _apply(verifier: "Verifier | None", signed: bytes, data: bytes, signer: "Signer") -> None:
    """Verify a signature that needs a library.

    Raises:
        ValueError: it does not pass, or there is no verifier: that is never a reason to skip it.
    """
    if verifier is None:
        raise ValueError(
            "is of a kind that a guarded process does not verify: install with "
            "--trust-at install, which verifies it once and pins the statement"
        )
    verdict = verifier(signed, data, signer)
    # Not `isinstance(..., Err)`: anything that is not a success is a failure.
    if type(verdict) is not Ok:
        detail = verdict.error if isinstance(verdict, Err) else "its verifier gave no verdict"
        raise ValueError(str(detail))


def _check_signer(policy: "Policy", signer: "Signer", now: float) -> None:
    """Check that a signer still counts.

    Raises:
        ValueError: the policy revokes the key, or its time is over.
    """
    if signer.fingerprint in policy.revoked:
        raise ValueError(f"is by {signer.name}, whose key is revoked")
    if signer.valid_before is not None and now >= signer.valid_before:
        until = times.render(signer.valid_before)
        raise ValueError(f"is by {signer.name}, whose key counted until {until}")
