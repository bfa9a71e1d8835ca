"""Policies: any bytes are a policy that says what a JSON reader sees in it, or an error."""

from __future__ import annotations

import base64
import json
from typing import Any

from codegenie.trust import policy, times

FOLDER = "/etc/shop"
KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + b"A" * 43
ROOT = b'"trusted_root": "root.json", "trusted_root_sha256": "%s"' % (b"0" * 64)
IDENTITY = (
    b'{"issuer": "https://i", "identity": "https://x", "source_repository": "https://r", '
    b'"source_repository_id": "1", "source_ref": "refs/heads/main", %s}' % ROOT
)

TOKENS = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\u0061", b"\xff", b"\0", b"null", b"true"),
    *(b'"application": "shop"', b'"threshold": 1', b'"threshold": 2', b'"expiry": "required"'),
    *(b'"signers": {"alice": {"ssh": "%s"}}' % KEY, b'"ssh": "%s"' % KEY, b'"bob": '),
    *(b'"sigstore": %s' % IDENTITY, b'"valid_before": "2027-01-31T23:59:59Z"'),
    *(b'"revoked": ["SHA256:%s", "%s"]' % (b"A" * 43, b"0" * 64), b'"max_age_days": 90'),
]


def check(data: bytes) -> None:
    try:
        parsed = policy.parse(data, folder=FOLDER)
    except ValueError:
        return
    read = json.loads(data)
    assert set(read) <= {
        *("application", "threshold", "signers", "expiry", "revoked", "max_age_days")
    }
    assert (parsed.application, parsed.threshold) == (read["application"], read["threshold"])
    assert type(read["threshold"]) is int
    assert 1 <= parsed.threshold <= len(parsed.signers)
    assert parsed.expiry_required is (read["expiry"] == "required")
    assert parsed.revoked == frozenset(read.get("revoked", ()))
    assert parsed.max_age_days == read.get("max_age_days")
    assert list(parsed.signers) == list(read["signers"])
    for name, signer in parsed.signers.items():
        assert signer.name == name
        check_signer(signer, read["signers"][name])
    assert len({signer.identity for signer in parsed.signers.values()}) == len(parsed.signers)


def check_signer(signer: policy.Signer, entry: dict[str, Any]) -> None:
    assert set(entry) <= ({"ssh", "valid_before"} if "ssh" in entry else {"sigstore"})
    until = None if signer.valid_before is None else times.render(signer.valid_before)
    assert until == entry.get("valid_before")
    if "ssh" in entry:
        assert signer.key == base64.b64decode(entry["ssh"].split()[1], validate=True)
        assert signer.fingerprint.startswith("SHA256:")
        assert signer.sigstore == {}
        return
    fields = dict(entry["sigstore"])
    if not fields["trusted_root"].startswith("/"):
        fields["trusted_root"] = f"{FOLDER}/{fields['trusted_root']}"
    assert signer.sigstore == fields
    assert (signer.key, signer.fingerprint) == (b"", "")
