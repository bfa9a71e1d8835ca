"""Verify OpenSSH signatures by ECDSA and RSA keys, with the package ``cryptography``.

No guarded process loads this module: a library on ``sys.path`` can be planted, and this one takes
longer to load than a start may take. ``library_process`` runs it at the installation and in CI (the
extra ``keys``).

``sshsig`` parses the signature and checks the namespace; this module adds the key types:
``ecdsa-sha2-nistp256``, ``-nistp384`` and ``-nistp521``, and RSA keys of at least 2048 bits with
SHA-256 or SHA-512. An RSA signature with SHA-1 (``ssh-rsa``) is refused.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from codegenie.result import Err, Ok
from codegenie.trust import base64_text, sshsig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codegenie.result import Result
    from codegenie.trust.policy import Signer

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384
"""The longest that ``ssh-keygen`` makes."""

RSA = b"ssh-rsa"
"""The type of an RSA key. As the type of a signature it means SHA-1."""

_CURVES: "Mapping[bytes, tuple[str, hashes.HashAlgorithm]]" = {
    b"ecdsa-sha2-nistp256": ("secp256r1", hashes.SHA256()),
    b"ecdsa-sha2-nistp384": ("secp384r1", hashes.SHA384()),
    b"ecdsa-sha2-nistp521": ("secp521r1", hashes.SHA512()),
}
"""The curve of each key type, and the hash that belongs to it (RFC 5656, section 6.2.1)."""

_RSA_HASHES: "Mapping[bytes, hashes.HashAlgorithm]" = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}
"""The hash of each type of RSA signature (RFC 8332, section 3)."""

KEY_TYPES = (*_CURVES, RSA)
"""The types that this module verifies."""


def verify_signature(signed: bytes, signature: bytes, signer: "Signer") -> "Result[None, str]":
    """Return Ok if the key of ``signer`` made the signature file ``signature`` over ``signed``.

    Never raises: an exception, of whatever library, is a refusal.
    """
    try:
        parsed = sshsig.parse(signature)
        if parsed.key != signer.key:
            raise ValueError("is by another key")
        verify(parsed, signed)
    except Exception as error:
        return Err(str(error) or type(error).__name__)
    return Ok(None)


def verify(signature: sshsig.Signature, message: bytes) -> None:
    """Check that ``signature`` is one of ``message`` by the key that it names.

    Raises:
        Exception: of any kind; the signature does not count.
    """
    signed = sshsig.signed_bytes(signature, message)
    if signature.key_type not in KEY_TYPES:
        raise ValueError("is by a key of another type")
    text = base64_text.encode(signature.key)
    key = load_ssh_public_key(signature.key_type + b" " + text)
    reader = sshsig.Reader(signature.value)
    kind = reader.string("the signature type")
    value = reader.string("the signature")
    reader.end()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _verify_rsa(key, kind, value, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            _verify_ecdsa(key, signature.key_type, kind, value, signed)
        else:
            raise ValueError("is by a key of another type")
    except InvalidSignature:
        raise ValueError("does not match: another key made it, or for another statement") from None


def _verify_rsa(key: rsa.RSAPublicKey, kind: bytes, value: bytes, signed: bytes) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"is by an RSA key of {key.key_size} bits, not of {MIN_RSA_BITS} or more")
    algorithm = _RSA_HASHES.get(kind)
    if algorithm is None:
        raise ValueError("is an RSA signature with neither SHA-256 nor SHA-512")
    key.verify(value, signed, padding.PKCS1v15(), algorithm)


def _verify_ecdsa(
    key: ec.EllipticCurvePublicKey, key_type: bytes, kind: bytes, value: bytes, signed: bytes
) -> None:
    curve, algorithm = _CURVES[key_type]
    if kind != key_type or key.curve.name != curve:
        raise ValueError("is of another type than its key")
    reader = sshsig.Reader(value)
    r, s = _positive(reader.string("r")), _positive(reader.string("s"))
    reader.end()
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(algorithm))


def _positive(field: bytes) -> int:
    """Return an integer in its one encoding (``mpint``; RFC 4251, section 5).

    Raises:
        ValueError: it is not positive, or has another encoding as well.
    """
    number = int.from_bytes(field, "big")
    if not field or number.to_bytes(number.bit_length() // 8 + 1, "big") != field:
        raise ValueError("has an integer that is not canonical or not positive")
    return number
