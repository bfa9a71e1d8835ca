"""Edit a trust policy, and check a lock against it, where no process is guarded."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codegenie.files import read_regular
from codegenie.hashing import file_digest
from codegenie.integrity import lock
from codegenie.parsers import safe_json
from codegenie.result import Err, Ok, Result
from codegenie.trust import (
    evidence,
    library_process,
    policy,
    sshsig,
    statement,
    times,
    vouching,
)
from codegenie.trust.pinned import TrustPin
from codegenie.trust.policy import Policy
from codegenie.trust.trusted_lock import TrustedLock
from codegenie.trust.vouching import Untrusted, Vouched

if TYPE_CHECKING:
    from codegenie.refusals.record import Refusal

Document = dict[str, Any]


class Refused(Exception):
    """A change to a policy that cannot be made. The text says why."""


@dataclass(frozen=True)
class Checked:
    """The verdict of a policy on one lock.

    Attributes:
        policy: the policy.
        sha256: its digest, in hex.
        verdict: the accepted statement, or why there is none.
    """

    policy: Policy
    sha256: str
    verdict: Result[Vouched, Untrusted]


def new(application: str, threshold: int, expiry: str, max_age_days: int | None) -> Document:
    """Return a policy without signers, which trusts nothing until ``threshold`` signers are added.

    Raises:
        Refused: a value is not allowed.
    """
    document: Document = {
        "application": application,
        "threshold": threshold,
        "signers": {},
        "revoked": [],
        "expiry": expiry,
    }
    if max_age_days is not None:
        document["max_age_days"] = max_age_days
    try:
        statement.application_of(application)
    except ValueError as error:
        raise Refused(str(error)) from None
    return document


def read(path: str) -> Document:
    """Return a policy for editing. It may have fewer signers than its threshold.

    Raises:
        Refused: it cannot be read, or it is not a policy.
    """
    data = read_regular(path, max_bytes=policy.MAX_POLICY_BYTES)
    if isinstance(data, Err):
        raise Refused(str(data.error))
    try:
        document = safe_json.parse(data.value, max_depth=policy.MAX_POLICY_DEPTH)
    except ValueError as error:
        raise Refused(f"{path} {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("signers"), dict):
        raise Refused(f"{path} is not a trust policy")
    return dict(document)


def with_signer(document: Document, name: str, entry: Mapping[str, Any]) -> Document:
    """Return the policy with one more signer.

    Raises:
        Refused: the name or the key is taken, or the key is not one that can be trusted.
    """
    if name in document["signers"]:
        raise Refused(f"there is a signer {name!r} already: a rotation needs a new name")
    changed = {**document, "signers": {**document["signers"], name: dict(entry)}}
    signer = _parsed(changed).signers[name]
    if signer.key and sshsig.type_of(signer.key) in sshsig.KEY_TYPES:
        try:
            sshsig.check_key(signer.key)
        except ValueError as error:
            raise Refused(f"the key of {name!r} {error}") from None
    return changed


def without(document: Document, revoked: str) -> Document:
    """Return the policy with one more revoked key or statement.

    Raises:
        Refused: it is neither a fingerprint nor a digest.
    """
    try:
        policy.revocation_of(revoked)
    except ValueError as error:
        raise Refused(str(error)) from None
    return {**document, "revoked": sorted({*document.get("revoked", ()), revoked})}


def allowed_signers(document: Document) -> list[str]:
    """Return the SSH keys of a policy as lines of an ``allowed_signers`` file."""
    lines = []
    for signer in _parsed(document).signers.values():
        if not signer.key or signer.fingerprint in document.get("revoked", ()):
            continue
        options = f'namespaces="{sshsig.NAMESPACE.decode()}"'
        if signer.valid_before is not None:
            until = times.render(signer.valid_before)
            options += f',valid-before="{until.translate({ord(c): None for c in "-:T"})}"'
        key = " ".join(document["signers"][signer.name]["ssh"].split()[:2])
        lines.append(f"{signer.name} {options} {key}")
    return lines


def missing_signers(document: Document) -> int:
    """Return how many signers a policy still needs to reach its threshold."""
    return max(0, int(document["threshold"]) - len(document["signers"]))


def check(
    path: str, lock: str, *, at_start: bool, floor: int = 0, floor_statement: str = ""
) -> Checked:
    """Check a lock against a policy.

    Args:
        path: the policy.
        lock: the path of the lock.
        at_start: verify only what a guarded process verifies: Ed25519 keys.
        floor: the lowest accepted sequence number.
        floor_statement: the digest of the statement that had this number, in hex.

    Raises:
        Refused: the policy cannot be used at all.
    """
    data = read_regular(path, max_bytes=policy.MAX_POLICY_BYTES)
    if isinstance(data, Err):
        raise Refused(str(data.error))
    digest = file_digest(data.value).hex()
    try:
        parsed = policy.parse(data.value, folder=path.rpartition("/")[0])
    except ValueError as error:
        raise Refused(f"{path}: the policy {error}") from None
    try:
        vouched = vouching.check(
            evidence.read(lock, path, digest),
            floor=floor,
            floor_statement=floor_statement,
            now=time.time(),
            verifiers={} if at_start else library_process.verifiers(),
        )
    except Untrusted as error:
        return Checked(parsed, digest, Err(error))
    return Checked(parsed, digest, Ok(vouched))


class TrustedReader:
    """Reads a lock only if the policy trusts it, and then knows what its statement names.

    Attributes:
        subjects: the SHA-256 of each file by its name, of the last lock that was read; empty if it
            is not trusted.
    """

    def __init__(self, pinned: TrustPin) -> None:
        self._pinned = pinned
        self.subjects: Mapping[str, str] = {}

    def __call__(self, lock_path: str) -> Result[dict[str, str], Refusal]:
        """Return the entries of a lock, or why it is not trusted."""
        trusted = TrustedLock(self._pinned, lock_path, library_process.verifiers())
        data = trusted.read()
        self.subjects = trusted.vouched.statement.subjects if trusted.vouched else {}
        return data if isinstance(data, Err) else lock.parse(lock_path, data.value)

    def covers(self, name: str, data: bytes) -> bool:
        """Return True if the statement names ``data`` under ``name``."""
        return self.subjects.get(name) == file_digest(data).hex()


def lock_reader(path: str) -> TrustedReader:
    """Return a reader that parses a lock only if the policy trusts it.

    Raises:
        Refused: the policy cannot be read.
    """
    data = read_regular(path, max_bytes=policy.MAX_POLICY_BYTES)
    if isinstance(data, Err):
        raise Refused(str(data.error))
    return TrustedReader(TrustPin(os.path.abspath(path), file_digest(data.value).hex()))


def _parsed(document: Document) -> Policy:
    """Parse a document that may have fewer signers than its threshold.

    Raises:
        Refused: it is not a policy.
    """
    threshold = document.get("threshold")
    if type(threshold) is int and threshold > 1:
        threshold = max(1, min(threshold, len(document["signers"])))
    try:
        return policy.of({**document, "threshold": threshold})
    except ValueError as error:
        raise Refused(f"not a valid policy: {error}") from None
