"""ECDSA and RSA keys: real ones of ``ssh-keygen``, and signatures that are wrong in one way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from codegenie.result import Err, Ok
from codegenie.trust import base64_text, library_process, other_keys, sshsig, vouching
from codegenie.trust.policy import Signer
from tests.fixtures.signers import NAMESPACE, Key

DATA = b"a statement\n"
KINDS = {
    "ecdsa-256": ("ecdsa", "256"),
    "ecdsa-384": ("ecdsa", "384"),
    "ecdsa-521": ("ecdsa", "521"),
    "rsa-2048": ("rsa", "2048"),
    "rsa-3072": ("rsa", "3072"),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    for name, (kind, bits) in KINDS.items():
        command = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    return {name: Key(folder / name) for name in KINDS}


def signer_of(key: Key) -> Signer:
    return Signer("alice", key=sshsig.parse_public_key(key.public))


def reason(data: bytes, signature: bytes, signer: Signer) -> str:
    verdict = other_keys.verify_signature(data, signature, signer)
    assert isinstance(verdict, Err), "accepted"
    return verdict.error


@pytest.mark.parametrize("name", KINDS)
def test_signature_of_ssh_keygen_is_accepted(keys: dict[str, Key], name: str) -> None:
    signature, signer = keys[name].sign(DATA), signer_of(keys[name])
    assert other_keys.verify_signature(DATA, signature, signer) == Ok(None)
    assert "does not match" in reason(DATA + b" ", signature, signer)
    other = keys[name].sign(DATA, namespace="file")
    assert "namespace 'file'" in reason(DATA, other, signer)


def test_each_key_signs_for_itself_alone(keys: dict[str, Key]) -> None:
    signatures = {name: key.sign(DATA) for name, key in keys.items()}
    for name, key in keys.items():
        for other, signature in signatures.items():
            if other != name:
                assert reason(DATA, signature, signer_of(key)) == "is by another key"


def test_isolated_process_accepts_and_refuses_them(keys: dict[str, Key]) -> None:
    verify = library_process.verifiers()[vouching.OTHER_KEYS]
    signature, signer = keys["ecdsa-256"].sign(DATA), signer_of(keys["ecdsa-256"])
    assert verify(DATA, signature, signer) == Ok(None)
    assert isinstance(verify(DATA + b" ", signature, signer), Err)


def test_key_in_an_agent_signs(keys: dict[str, Key], tmp_path: Path) -> None:
    address = str(tmp_path / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.PIPE, text=True)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()  # printed once the socket is there
        environment = {**os.environ, "SSH_AUTH_SOCK": address}
        private = str(keys["rsa-3072"].path)
        subprocess.run(["ssh-add", "-q", private], env=environment, check=True)
        public = tmp_path / "rsa.pub"
        public.write_text(keys["rsa-3072"].public)
        signed = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-f", str(public), "-n", NAMESPACE],
            input=DATA,
            capture_output=True,
            env=environment,
            check=True,
        )
    finally:
        agent.kill()
        agent.communicate()
    signer = signer_of(keys["rsa-3072"])
    assert other_keys.verify_signature(DATA, signed.stdout, signer) == Ok(None)


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return field(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def file_of(key: bytes, value: bytes, *, namespace: bytes = sshsig.NAMESPACE) -> bytes:
    """Return a signature file as ``ssh-keygen`` writes it."""
    parts = (key, namespace, b"", b"sha512", value)
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(field(part) for part in parts)
    text = base64_text.encode(blob)
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    begin, end = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
    return b"\n".join([begin, *lines, end, b""])


def signed_by(key: bytes) -> bytes:
    """Return the bytes that a key must sign."""
    return sshsig.signed_bytes(sshsig.parse(file_of(key, b"")), DATA)


class Ecdsa:
    """A key of this test, which signs as it likes."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        line = self.private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        self.key = sshsig.parse_public_key(line.decode())
        signature = self.private.sign(signed_by(self.key), ec.ECDSA(hashes.SHA256()))
        self.r, self.s = decode_dss_signature(signature)

    def file(self, value: bytes, kind: bytes = b"ecdsa-sha2-nistp256") -> bytes:
        return file_of(self.key, field(kind) + field(value))


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""


@pytest.mark.parametrize(
    "value",
    [
        lambda key: b"",
        lambda key: mpint(key.r),
        lambda key: mpint(key.r) + mpint(key.s) + b"\0",
        lambda key: mpint(0) + mpint(0),
        lambda key: mpint(key.s) + mpint(key.r),
        lambda key: mpint(key.r) + mpint(key.s + ORDER),
        lambda key: mpint(key.r) + field(b"\0\0" + key.s.to_bytes(32, "big")),
        lambda key: mpint(key.r) + field(b"\xff" * 32),
        lambda key: mpint(key.r) + field(b""),
    ],
    ids=["empty", "r", "trailing", "zeros", "swapped", "s+n", "padded", "negative", "no-s"],
)
def test_crafted_ecdsa_signature_is_refused(value: Callable[[Ecdsa], bytes]) -> None:
    key = Ecdsa()
    signer = Signer("alice", key=key.key)
    genuine = key.file(mpint(key.r) + mpint(key.s))
    assert other_keys.verify_signature(DATA, genuine, signer) == Ok(None)
    assert reason(DATA, key.file(value(key)), signer)


def test_ecdsa_signature_of_another_type_is_refused() -> None:
    key = Ecdsa()
    file = key.file(mpint(key.r) + mpint(key.s), kind=b"ecdsa-sha2-nistp384")
    assert "another type" in reason(DATA, file, Signer("alice", key=key.key))


def rsa_file(bits: int, kind: bytes, algorithm: hashes.HashAlgorithm) -> tuple[bytes, Signer]:
    private = rsa.generate_private_key(65537, bits)
    line = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    key = sshsig.parse_public_key(line.decode())
    value = private.sign(signed_by(key), padding.PKCS1v15(), algorithm)
    return file_of(key, field(kind) + field(value)), Signer("alice", key=key)


@pytest.mark.parametrize(
    ("bits", "kind", "algorithm", "says"),
    [
        (2048, b"ssh-rsa", hashes.SHA1(), "neither SHA-256 nor SHA-512"),
        (2048, b"rsa-sha2-512", hashes.SHA1(), "does not match"),
        (1024, b"rsa-sha2-512", hashes.SHA512(), "1024 bits"),
    ],
)
def test_weak_rsa_signature_is_refused(
    bits: int, kind: bytes, algorithm: hashes.HashAlgorithm, says: str
) -> None:
    file, signer = rsa_file(bits, kind, algorithm)
    assert says in reason(DATA, file, signer)


def test_rsa_signature_with_sha_256_is_accepted() -> None:
    file, signer = rsa_file(2048, b"rsa-sha2-256", hashes.SHA256())
    assert other_keys.verify_signature(DATA, file, signer) == Ok(None)


def test_certificate_is_no_key(keys: dict[str, Key], tmp_path: Path) -> None:
    """Refuse a certificate, because any authority could certify the key."""
    public = tmp_path / "cert.pub"
    public.write_text(keys["ecdsa-256"].public)
    authority = str(keys["rsa-2048"].path)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "x", "-n", "x", str(public)], check=True
    )
    key = sshsig.parse_public_key((tmp_path / "cert-cert.pub").read_text())
    signed = sshsig.parse(keys["ecdsa-256"].sign(DATA))
    assert reason(DATA, file_of(key, signed.value), Signer("alice", key=key))
