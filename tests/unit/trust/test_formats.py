"""The readers of statements and policies are strict: one meaning, or an error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from codegenie.trust import policy, statement
from tests.fixtures.signers import SoftKey, policy_of, statement_of, wire

LOCK = b"{}\n"
ALICE, BOB = SoftKey("alice"), SoftKey("bob")
STATEMENT = json.loads(statement_of(LOCK, sequence=7))
POLICY = json.loads(policy_of({"alice": ALICE}))
IDENTITY = {
    "issuer": "https://token.example",
    "identity": "https://example/.github/workflows/release.yml@refs/heads/main",
    "source_repository": "https://example/repository",
    "source_repository_id": "123",
    "source_ref": "refs/heads/main",
    "trusted_root": "root.json",
    "trusted_root_sha256": "0" * 64,
}

Change = Callable[[dict[str, Any]], Any]


def put(*path: Any) -> Change:
    """Return a change that puts the last of the arguments where the others lead."""
    *way, name, value = path

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in way:
            place = place[step]
        place[name] = value

    return change


def drop(*path: Any) -> Change:
    *way, name = path

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in way:
            place = place[step]
        del place[name]

    return change


def changed(document: dict[str, Any], change: Change) -> bytes:
    copy = json.loads(json.dumps(document))
    change(copy)
    return json.dumps(copy).encode()


def test_a_statement_is_read_as_it_was_written() -> None:
    data = statement_of(LOCK, sequence=7, expires=2_000_000_000)
    content = statement.parse(data)
    assert statement.render(content) == data
    assert (content.application, content.sequence, content.expires) == ("shop", 7, 2_000_000_000)


@pytest.mark.parametrize(
    "change",
    [
        put("_type", "https://in-toto.io/Statement/v0.1"),
        put("predicateType", "https://slsa.dev/provenance/v1"),
        put("extra", 1),
        drop("predicate"),
        put("predicate", []),
        put("predicate", "extra", 1),
        drop("predicate", "application"),
        put("predicate", "application", ""),
        put("predicate", "application", "a\nb"),
        put("predicate", "application", "a" * 256),
        put("predicate", "sequence", 0),
        put("predicate", "sequence", -1),
        put("predicate", "sequence", 1.0),
        put("predicate", "sequence", True),
        put("predicate", "sequence", "1"),
        put("predicate", "sequence", 2**53),
        put("predicate", "issued", 1),
        put("predicate", "expires", None),
        put("predicate", "expires", "1990-01-01T00:00:00Z"),
        put("subject", {}),
        put("subject", []),
        put("subject", 0, "name", "PLUGINS.lock\n"),
        put("subject", 0, "name", "../PLUGINS.lock"),
        put("subject", 0, "name", "PLUGINS.bytecode/../x/a.index"),
        put("subject", 0, "digest", "sha256", "0" * 63),
        put("subject", 0, "digest", "sha256", "A" * 64),
        put("subject", 0, "digest", "sha512", "0" * 64),
        put("subject", 0, "annotations", {}),
        lambda document: document["subject"].append(document["subject"][0]),
    ],
)
def test_another_statement_is_refused(change: Change) -> None:
    statement.parse(changed(STATEMENT, lambda document: None))
    with pytest.raises(ValueError, match=r"."):
        statement.parse(changed(STATEMENT, change))


@pytest.mark.parametrize(
    "name",
    [
        "PLUGINS.bytecode/cpython-313/a.index",
        "PLUGINS.bytecode/cpython-313.opt-2/a-b_c.index",
    ],
)
def test_an_index_may_be_a_subject(name: str) -> None:
    add = {"name": name, "digest": {"sha256": "0" * 64}}
    data = changed(STATEMENT, lambda document: document["subject"].append(add))
    assert name in statement.parse(data).subjects


@pytest.mark.parametrize(
    "name",
    [
        "PLUGINS.bytecode/a.index",
        "PLUGINS.bytecode//a.index",
        "PLUGINS.bytecode/../a.index",
        "PLUGINS.bytecode/cpython-313/a.pack",
        "PLUGINS.bytecode/cpython-313/../a.index",
        "PLUGINS.bytecode/cpython-313/b/a.index",
        "PLUGINS.bytecode/cpython\\313/a.index",
        "PLUGINS.bytecode/cpython-313/a\nb.index",
        "plugins/alpha/api.py",
        "/etc/passwd",
        "",
    ],
)
def test_no_other_file_may_be_a_subject(name: str) -> None:
    add = {"name": name, "digest": {"sha256": "0" * 64}}
    with pytest.raises(ValueError, match=r"subject|index"):
        statement.parse(changed(STATEMENT, lambda document: document["subject"].append(add)))


def test_a_policy_is_read() -> None:
    data = changed(POLICY, put("signers", "ci", {"sigstore": IDENTITY}))
    read = policy.parse(data, folder="/etc/shop")
    assert read.signers["alice"].fingerprint == ALICE.fingerprint
    assert read.signers["ci"].sigstore["trusted_root"] == "/etc/shop/root.json"
    assert (read.threshold, read.expiry_required, read.max_age_days) == (1, False, None)


@pytest.mark.parametrize(
    "change",
    [
        put("extra", 1),
        drop("application"),
        drop("expiry"),
        put("expiry", "never"),
        put("threshold", 0),
        put("threshold", 2),
        put("threshold", True),
        put("threshold", "1"),
        put("max_age_days", 0),
        put("max_age_days", 1.5),
        put("signers", {}),
        put("signers", []),
        put("signers", "ci", 5),
        put("signers", "", {"ssh": BOB.public}),
        put("signers", "b b", {"ssh": BOB.public}),
        put("signers", "b,c", {"ssh": BOB.public}),
        put("signers", "b*", {"ssh": BOB.public}),
        put("signers", "bob", {}),
        put("signers", "bob", {"ssh": BOB.public, "sigstore": IDENTITY}),
        put("signers", "bob", {"ssh": BOB.public, "extra": 1}),
        put("signers", "bob", {"ssh": BOB.public, "valid_before": "tomorrow"}),
        put("signers", "bob", {"ssh": ALICE.public}),
        put("signers", "bob", {"ssh": f"{ALICE.public} another comment"}),
        put("signers", "bob", {"ssh": 1}),
        put("signers", "bob", {"ssh": "ssh-dss AAAAB3NzaC1kc3M="}),
        put("signers", "ci", {"sigstore": {**IDENTITY, "trusted_root_sha256": "x"}}),
        put("signers", "ci", {"sigstore": {**IDENTITY, "issuer": ""}}),
        put("signers", "ci", {"sigstore": {**IDENTITY, "extra": "x"}}),
        put("signers", "ci", {"sigstore": {k: v for k, v in IDENTITY.items() if k != "issuer"}}),
        put("revoked", {}),
        put("revoked", [1]),
        put("revoked", ["alice"]),
        put("revoked", ["SHA256:abc"]),
        put("revoked", [ALICE.fingerprint + "="]),
        put("revoked", ["0" * 63]),
    ],
)
def test_another_policy_is_refused(change: Change) -> None:
    policy.parse(changed(POLICY, lambda document: None))
    with pytest.raises(ValueError, match=r"."):
        policy.parse(changed(POLICY, change))


@pytest.mark.parametrize("parse", [statement.parse, policy.parse])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{}{}",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a": NaN}',
        b"[" * 100 + b"]" * 100,
        b" " * (1 << 20),
    ],
)
def test_what_is_no_document_is_refused(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(data)


def rsa_key(modulus: bytes) -> dict[str, str]:
    blob = wire(b"ssh-rsa") + wire(b"\1\0\1") + wire(modulus)
    return {"ssh": f"ssh-rsa {base64.b64encode(blob).decode()}"}


def test_an_rsa_key_in_two_encodings_is_one_signer() -> None:
    """Refuse a modulus with zeros before it beside itself: libraries read both."""
    modulus = b"\0" + b"\xc1" * 256
    assert policy.parse(policy_of({"carol": rsa_key(modulus), "alice": ALICE})).signers
    with pytest.raises(ValueError, match="'carol' and 'dave' are the same"):
        policy.parse(policy_of({"carol": rsa_key(modulus), "dave": rsa_key(b"\0" + modulus)}))
    with pytest.raises(ValueError, match="ends before the modulus"):
        policy.parse(policy_of({"carol": {"ssh": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB"}}))
