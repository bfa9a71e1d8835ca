"""The vectors of others: RFC 8032's authors, Wycheproof, and OpenSSH files of ``cryptography``.

Each is checked by the project's own verifier and by OpenSSL, and the two must agree.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from codegenie.trust import ed25519, policy, sshsig
from tests.trust.conftest import pip_download
from tests.trust.test_agreement import accepts

VECTORS = Path(__file__).with_name("vectors.txt")
OPENSSH = "cryptography_vectors/asymmetric/OpenSSH/"
PARTS = 4
"""The vectors of one file are checked by several workers."""


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return each file of the pinned wheels that is about Ed25519 or SSH keys."""
    found: dict[str, bytes] = {}
    for wheel in pip_download(VECTORS, tmp_path_factory, "--only-binary", ":all:"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and ("ed25519" in name.lower() or OPENSSH in name):
                    found[name] = archive.read(name)
    return found


def check(point: bytes, message: bytes, signature: bytes) -> bool:
    """Return the verdict of both verifiers."""
    ours = ed25519.verify(point, message, signature)
    assert accepts(point, signature, message) is ours, (point, message, signature)
    return ours


@pytest.mark.parametrize("part", range(PARTS))
def test_each_vector_of_the_authors_verifies(vectors: dict[str, bytes], part: int) -> None:
    """``sign.input``: 1024 keys, with messages of 0 to 1023 bytes. One flipped bit is refused."""
    (name,) = (name for name in vectors if name.endswith("/Ed25519/sign.input"))
    lines = vectors[name].decode().split()
    assert len(lines) == 1024
    for number, line in enumerate(lines[part::PARTS]):
        _, point, message, signed = map(bytes.fromhex, line.split(":")[:4])
        assert signed[64:] == message
        signature = bytearray(signed[:64])
        assert check(point, message, bytes(signature))
        signature[number % 64] ^= 1 << number % 8
        assert not check(point, message, bytes(signature))


def test_each_vector_of_wycheproof_has_its_verdict(vectors: dict[str, bytes]) -> None:
    """Refuse what is invalid, and keys of small order; OpenSSL accepts those."""
    (name,) = (name for name in vectors if name.endswith("/wycheproof/ed25519_test.json"))
    document = json.loads(vectors[name])
    verdicts: Counter[tuple[str, bool]] = Counter()
    for group in document["testGroups"]:
        point = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            if "SmallOrderPublicKey" in test["flags"]:
                assert not ed25519.verify(point, message, signature)
                assert not ed25519.is_valid_key(point)
                verdicts["small order", False] += 1
                continue
            verdicts[test["result"], check(point, message, signature)] += 1
    assert sum(verdicts.values()) == document["numberOfTests"]
    assert set(verdicts) == {
        ("valid", True),
        ("invalid", False),
        ("acceptable", True),  # of mixed order: OpenSSH and OpenSSL accept them too
        ("small order", False),
    }, verdicts


def test_each_public_key_file_has_one_meaning(vectors: dict[str, bytes]) -> None:
    """Read the keys that a policy may name; refuse the others, and every certificate."""
    read: Counter[str] = Counter()
    for name, data in vectors.items():
        if not name.startswith(OPENSSH) or not name.endswith(".pub"):
            continue
        line = data.decode()
        kind = line.split()[0]
        try:
            policy.of(with_signer(line))
        except ValueError:
            read[f"no {kind}"] += 1
            continue
        read[kind] += 1
        key = serialization.load_ssh_public_key(data)
        encoding = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        blob = sshsig.parse_public_key(line)
        if isinstance(key, Ed25519PublicKey):
            assert sshsig.point_of(blob) == key.public_bytes_raw()
            assert ed25519.is_valid_key(key.public_bytes_raw())
        if not kind.startswith("sk-"):
            assert base64.b64decode(key.public_bytes(*encoding).split()[1]) == blob
    assert set(read) == {
        *("ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ssh-rsa"),
        *("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"),
        *("no ssh-dss", "no sk-ecdsa-sha2-nistp256@openssh.com"),
        *(f"no {kind}-cert-v01@openssh.com" for kind in CERTIFIED),
    }, read


CERTIFIED = ("ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256")


def with_signer(line: str) -> Any:
    signers = {"alice": {"ssh": line}}
    return {"application": "shop", "threshold": 1, "expiry": "optional", "signers": signers}


def test_signatures_of_certificates_verify(vectors: dict[str, bytes]) -> None:
    """Check Ed25519 signatures over SSH and X.509 certificates: real ones, by other programs."""
    verdicts: Counter[str] = Counter()
    for name, data in vectors.items():
        if name.startswith(OPENSSH) and name.endswith(".pub") and b"-cert-v01@" in data:
            verdicts["ssh"] += check_ssh_certificate(data)
    assert verdicts["ssh"] == 1
    (pem,) = (vectors[name] for name in vectors if name.endswith("/root-ed25519.pem"))
    root = x509.load_pem_x509_certificate(pem)
    key = root.public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert check(key.public_bytes_raw(), root.tbs_certificate_bytes, root.signature)


def check_ssh_certificate(data: bytes) -> bool:
    """Return True if the certificate is signed by an Ed25519 key, and its signature verifies."""
    try:
        certificate = serialization.load_ssh_public_identity(data)
    except (ValueError, UnsupportedAlgorithm):
        return False
    assert isinstance(certificate, serialization.SSHCertificate)
    signer = certificate.signature_key()
    if not isinstance(signer, Ed25519PublicKey):
        return False
    blob = base64.b64decode(data.split()[1])
    value = sshsig.Reader(blob[-SIGNATURE_SIZE:])
    assert value.string("the type") == sshsig.ED25519
    signed = blob[: -SIGNATURE_SIZE - 4]
    assert check(signer.public_bytes_raw(), signed, value.string("the signature"))
    return True


SIGNATURE_SIZE = 83
"""Bytes of the last field of a certificate: a type of 11 bytes, 64 bytes, and their lengths."""
