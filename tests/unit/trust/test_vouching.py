"""Which signatures count, and which statements are accepted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from codegenie.result import Err, Ok
from codegenie.trust import sshsig, vouching
from codegenie.trust.vouching import Evidence, Untrusted
from tests.fixtures import signers
from tests.fixtures.signers import DAY, Key, at, make_key, policy_of

LOCK = b'{\n  "greeter": "' + b"0" * 64 + b'"\n}\n'
NOW = 1_800_000_000


def statement_of(lock: bytes, **changes: Any) -> bytes:
    return signers.statement_of(lock, **{"issued": NOW - 60, **changes})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("alice", "bob", "carol", "mallory")}


def check(
    policy: bytes,
    said: bytes,
    signatures: dict[str, bytes],
    *,
    lock: bytes = LOCK,
    now: float = NOW,
    pinned: str = "",
    **more: Any,
) -> vouching.Vouched:
    evidence = Evidence(
        policy=policy,
        policy_sha256=pinned or hashlib.sha256(policy).hexdigest(),
        lock=lock,
        statement=said,
        signatures=[(name, Ok(data)) for name, data in sorted(signatures.items())],
    )
    return vouching.check(evidence, now=now, **more)


def refusal(*args: Any, **more: Any) -> Untrusted:
    with pytest.raises(Untrusted) as caught:
        check(*args, **more)
    return caught.value


def test_one_signature_vouches_for_the_lock(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    vouched = check(policy_of({"alice": keys["alice"]}), said, {"a.sig": keys["alice"].sign(said)})
    assert vouched.signers == ("alice",)
    assert vouched.statement.sequence == 1
    assert vouched.covers("PLUGINS.lock", LOCK)
    assert not vouched.covers("PLUGINS.lock", LOCK + b" ")
    assert not vouched.covers("PLUGINS.bytecode/cpython-313/greeter.index", LOCK)


def test_a_policy_that_is_not_the_pinned_one_is_refused(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    policy = policy_of({"mallory": keys["mallory"]})
    signed = {"m.sig": keys["mallory"].sign(said)}
    refused = refusal(policy, said, signed, pinned=hashlib.sha256(b"").hexdigest())
    assert refused.needed == 0
    assert "pinned" in refused.detail


def test_each_signature_that_does_not_count_is_listed(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    good = keys["alice"].sign(said)
    flipped = bytearray(good)
    flipped[200] ^= 1
    refused = refusal(
        policy_of({"alice": keys["alice"]}),
        said,
        {
            "another.sig": keys["alice"].sign(said + b" "),
            "empty.sig": b"",
            "flipped.sig": bytes(flipped),
            "namespace.sig": keys["alice"].sign(said, namespace="git"),
            "note.txt": b"",
            "stranger.sig": keys["mallory"].sign(said),
            "twice.sig": good + good,
        },
    )
    assert (refused.needed, refused.counted) == (1, ())
    reasons = dict(line.split(": ", 1) for line in refused.signatures)
    assert "for another statement" in reasons["another.sig"]
    assert "BEGIN SSH SIGNATURE" in reasons["empty.sig"]
    assert "git" in reasons["namespace.sig"]
    assert "not a signature file" in reasons["note.txt"]
    assert "the policy does not name" in reasons["stranger.sig"]
    assert {"flipped.sig", "twice.sig"} < reasons.keys()


def test_one_signer_counts_once(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    policy = policy_of({"alice": keys["alice"], "bob": keys["bob"]}, threshold=2)
    alice = keys["alice"].sign(said)
    refused = refusal(policy, said, {"a.sig": alice, "b.sig": alice})
    assert refused.counted == ("alice",)
    assert "again" in refused.signatures[1]
    both = check(policy, said, {"a.sig": alice, "b.sig": keys["bob"].sign(said)})
    assert both.signers == ("alice", "bob")


def test_two_of_three_signers_are_enough(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    policy = policy_of({name: keys[name] for name in ("alice", "bob", "carol")}, threshold=2)
    signed = {f"{name}.sig": keys[name].sign(said) for name in ("mallory", "bob", "carol")}
    assert check(policy, said, signed).signers == ("bob", "carol")


def test_a_revoked_key_does_not_count(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    fingerprint = sshsig.fingerprint(sshsig.parse_public_key(keys["alice"].public))
    policy = policy_of({"alice": keys["alice"]}, revoked=[fingerprint])
    refused = refusal(policy, said, {"a.sig": keys["alice"].sign(said)})
    assert "revoked" in refused.signatures[0]


def test_a_key_counts_until_its_time_is_over(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    entry = {"ssh": keys["alice"].public, "valid_before": at(NOW + DAY)}
    policy, signed = policy_of({"alice": entry}), {"a.sig": keys["alice"].sign(said)}
    assert check(policy, said, signed, now=NOW + DAY - 1)
    assert "counted until" in refusal(policy, said, signed, now=NOW + DAY).signatures[0]


@pytest.mark.parametrize(
    ("statement_changes", "policy_changes", "now", "expected"),
    [
        ({"application": "other"}, {}, NOW, "is for 'other', not for 'shop'"),
        ({"issued": NOW + 301}, {}, NOW, "is from the future"),
        ({"expires": NOW}, {}, NOW, "expired"),
        ({}, {"expiry": "required"}, NOW, "does not say when it expires"),
        ({"issued": NOW - 2 * DAY}, {"max_age_days": 1}, NOW, "older than 1 days"),
        ({"issued": NOW}, {}, NOW - DAY, "is from the future"),
        ({"sequence": 6}, {}, NOW, "but number 7 was seen"),
        ({"subjects": {"PLUGINS.lock": "0" * 64}, "sequence": 7}, {}, NOW, "is about another lock"),
    ],
)
def test_a_signed_statement_may_still_be_refused(
    keys: dict[str, Key],
    statement_changes: dict[str, Any],
    policy_changes: dict[str, Any],
    now: int,
    expected: str,
) -> None:
    said = statement_of(LOCK, **{"sequence": 7, **statement_changes})
    policy = policy_of({"alice": keys["alice"]}, **policy_changes)
    refused = refusal(policy, said, {"a.sig": keys["alice"].sign(said)}, now=now, floor=7)
    assert expected in refused.detail
    assert refused.counted == ("alice",)


def test_the_number_of_the_floor_belongs_to_one_statement(keys: dict[str, Key]) -> None:
    seen, other = statement_of(LOCK, sequence=7), statement_of(LOCK, sequence=7, issued=NOW - 99)
    policy = policy_of({"alice": keys["alice"]})
    pin: dict[str, Any] = {"floor": 7, "floor_statement": hashlib.sha256(seen).hexdigest()}
    assert check(policy, seen, {"a.sig": keys["alice"].sign(seen)}, **pin)
    assert (
        "of another" in refusal(policy, other, {"a.sig": keys["alice"].sign(other)}, **pin).detail
    )
    later = statement_of(LOCK, sequence=8)
    assert check(policy, later, {"a.sig": keys["alice"].sign(later)}, **pin)


def test_a_revoked_statement_is_refused(keys: dict[str, Key]) -> None:
    said = statement_of(LOCK)
    policy = policy_of({"alice": keys["alice"]}, revoked=[hashlib.sha256(said).hexdigest()])
    assert "revoked" in refusal(policy, said, {"a.sig": keys["alice"].sign(said)}).detail


def test_an_unsigned_statement_is_never_parsed(keys: dict[str, Key]) -> None:
    refused = refusal(policy_of({"alice": keys["alice"]}), b"{" * 60000, {})
    assert refused.detail == "0 of 1 needed signers vouch for it"


def test_a_pinned_statement_needs_no_signature() -> None:
    said = statement_of(LOCK, expires=NOW + DAY)
    pinned = hashlib.sha256(said).hexdigest()
    assert vouching.check_pinned(said, pinned, LOCK, now=NOW).statement_sha256 == pinned
    for data, lock, now, expected in (
        (said + b" ", LOCK, NOW, "not the one that was pinned"),
        (said, LOCK + b" ", NOW, "about another lock"),
        (said, LOCK, NOW + DAY, "expired"),
    ):
        with pytest.raises(Untrusted, match=expected):
            vouching.check_pinned(data, pinned, lock, now=now)


def test_another_kind_of_key_needs_a_verifier(tmp_path: Path) -> None:
    key = make_key(tmp_path, "ecdsa", "ecdsa")
    said = statement_of(LOCK)
    policy, signed = policy_of({"dave": key}), {"d.sig": key.sign(said)}
    assert "--trust-at install" in refusal(policy, said, signed).signatures[0]

    def refusing(*_: object) -> Err[str]:
        return Err("is not good enough")

    def raising(*_: object) -> Ok[None]:
        raise KeyError("of another library")

    def silent(*_: object) -> Any:
        return None

    assert check(policy, said, signed, verifiers={vouching.OTHER_KEYS: lambda *_: Ok(None)})
    for verifier, expected in (
        (refusing, "is not good enough"),
        (raising, "of another library"),
        (silent, "no verdict"),
    ):
        refused = refusal(policy, said, signed, verifiers={vouching.OTHER_KEYS: verifier})
        assert expected in refused.signatures[0]
