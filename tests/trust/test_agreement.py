"""The project's own Ed25519 against OpenSSL's."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from codegenie.trust import ed25519


def test_openssl_agrees_about_signatures_and_near_signatures() -> None:
    for number in range(200):
        private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % number).digest())
        point = private.public_key().public_bytes_raw()
        message = hashlib.sha512(point).digest()[: number % 64]
        signature = bytearray(private.sign(message))
        assert ed25519.verify(point, message, bytes(signature))
        signature[number % 64] ^= 1 << number % 8
        assert ed25519.verify(point, message, bytes(signature)) is accepts(
            point, bytes(signature), message
        )


def accepts(point: bytes, signature: bytes, message: bytes) -> bool:
    """Return True if OpenSSL accepts the signature."""
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
