"""Read OpenSSH signatures, and say what exactly was signed (``PROTOCOL.sshsig`` of OpenSSH).

``ssh-keygen -Y sign`` writes one armoured block. The parser accepts that block and nothing around
it, so a signature file cannot carry a second meaning for another reader. Every length is checked
before the bytes are used, and nothing may follow the last field.

The verifier supports the two key types that it can check without a library: ``ssh-ed25519`` and
``sk-ssh-ed25519@openssh.com`` (a security key, which must have been touched). A certificate is not
a key, and a key is not a certificate.

Example:
    >>> parse(b"not a signature")
    Traceback (most recent call last):
    ValueError: does not begin with -----BEGIN SSH SIGNATURE-----
"""

from codegenie.hashing import file_digest, sha512_digest
from codegenie.trust import base64_text, ed25519

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAMESPACE = b"codegenie-plugins-v1"
"""Of every signature of a statement. A signature for another purpose has another one."""

ED25519 = b"ssh-ed25519"
SECURITY_KEY = b"sk-ssh-ed25519@openssh.com"
KEY_TYPES = (ED25519, SECURITY_KEY)
"""The types that this module verifies."""

MAX_SIGNATURE_BYTES = 16 * 1024
"""Of a signature file. One of an Ed25519 key has about 300 bytes, one of a large RSA key 1,500."""

_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----\n"
_MAX_LINE = 76
"""Characters of a line of base64; ``ssh-keygen`` writes 70, RFC 4648 allows 76."""

_MAGIC = b"SSHSIG"
_VERSION = 1
_LENGTH = 4
"""Bytes of the length before a field (RFC 4251, section 5)."""

_USER_PRESENT = 0x01
"""Flag of a security key: it was touched (``PROTOCOL.u2f`` of OpenSSH)."""

_HASHES: "dict[bytes, Callable[[bytes], bytes]]" = {
    b"sha256": file_digest,
    b"sha512": sha512_digest,
}
"""Of the message, as the signature names them. ``ssh-keygen`` uses ``sha512``."""


class Signature:
    """The fields of a signature file, unverified.

    Attributes:
        key: the public key in the encoding of SSH (RFC 8709, section 4).
        key_type: its first field, for example ``ssh-ed25519``.
        namespace: what the signature is for.
        hash_name: the hash of the message.
        value: the signature proper, in the encoding of SSH.
    """

    __slots__ = ("hash_name", "key", "key_type", "namespace", "value")

    def __init__(self, key: bytes, namespace: bytes, hash_name: bytes, value: bytes) -> None:
        self.key = key
        self.key_type = type_of(key)
        self.namespace = namespace
        self.hash_name = hash_name
        self.value = value


def parse(data: bytes) -> Signature:
    """Return the fields of the signature file ``data``.

    Raises:
        ValueError: the file is not one armoured block of version 1, with a sentence on what is
            wrong.
    """
    reader = Reader(_without_armour(data))
    if reader.take(len(_MAGIC), "the preamble") != _MAGIC:
        raise ValueError("is not an OpenSSH signature: the preamble is missing")
    version = int.from_bytes(reader.take(_LENGTH, "the version"), "big")
    if version != _VERSION:
        raise ValueError(f"is an OpenSSH signature of version {version}, not {_VERSION}")
    key = reader.string("the key")
    namespace = reader.string("the namespace")
    if reader.string("the reserved field"):
        raise ValueError("uses the reserved field, which has no meaning")
    hash_name = reader.string("the hash")
    value = reader.string("the signature")
    reader.end()
    return Signature(key, namespace, hash_name, value)


def parse_public_key(line: str) -> bytes:
    """Return the key of one line of a ``.pub`` file, in the encoding of SSH.

    Threat: a second line with another key passes for a comment, so a reader of the policy sees a
    key that does not count. Rule: refuse a second line.

    Raises:
        ValueError: the line is not ``TYPE BASE64 [COMMENT]``, or its two types differ.
    """
    if len(line.strip().splitlines()) > 1:
        raise ValueError("has several lines: a signer has one key")
    fields = line.strip().split(" ", 2)
    if len(fields) < 2:
        raise ValueError("is not a public key of the form 'TYPE BASE64 [COMMENT]'")
    key = base64_text.decode(fields[1].encode("utf-8", "replace"))
    reader = Reader(key)
    if reader.string("the key type") != fields[0].encode("utf-8", "replace"):
        raise ValueError(f"names the type {fields[0]!r}, but its key is of another type")
    return key


def type_of(key: bytes) -> bytes:
    """Return the type of a key, for example ``ssh-ed25519``.

    Raises:
        ValueError: the key is malformed.
    """
    return Reader(key).string("the key type")


def point_of(key: bytes) -> bytes:
    """Return the Ed25519 key inside a key of either form; any other key as it is."""
    if type_of(key) not in KEY_TYPES:
        return key
    return _fields_of_key(key)[0]


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a key as ``ssh-keygen -l`` prints it."""
    encoded = base64_text.encode(file_digest(key)).decode("ascii")
    return f"SHA256:{encoded.rstrip('=')}"


def check_key(key: bytes) -> None:
    """Check that signatures of ``key`` can be verified by this module.

    Raises:
        ValueError: the key is of another type, is malformed, or can be forged.
    """
    point, _ = _fields_of_key(key)
    if not ed25519.is_valid_key(point):
        raise ValueError("is not a secure Ed25519 key")


def signed_bytes(signature: Signature, message: bytes) -> bytes:
    """Return the bytes that the key of ``signature`` must have signed to sign ``message``.

    The verifiers of other key types call it too, so the namespace has one check.

    Raises:
        ValueError: the signature is for another namespace, or uses another hash.
    """
    if signature.namespace != NAMESPACE:
        shown = signature.namespace[:64].decode("utf-8", "backslashreplace")
        raise ValueError(f"is for the namespace {shown!r}, not {NAMESPACE.decode()!r}")
    digest = _HASHES.get(signature.hash_name)
    if digest is None:
        raise ValueError("uses a hash that is neither sha512 nor sha256")
    return _MAGIC + b"".join(
        _string(field) for field in (NAMESPACE, b"", signature.hash_name, digest(message))
    )


def verify(signature: Signature, message: bytes) -> None:
    """Check that ``signature`` is one of ``message``, by the key that it names, for this project.

    The caller decides whether that key counts.

    Raises:
        ValueError: it is not, with a sentence on what is wrong.
    """
    signed = signed_bytes(signature, message)
    point, application = _fields_of_key(signature.key)
    reader = Reader(signature.value)
    if reader.string("the signature type") != signature.key_type:
        raise ValueError("is of another type than its key")
    value = reader.string("the signature")
    if application is not None:
        signed = _signed_by_a_security_key(application, reader, signed)
    reader.end()
    if not ed25519.verify(point, signed, value):
        raise ValueError("does not match: another key made it, or for another statement")


def _signed_by_a_security_key(application: bytes, reader: "Reader", signed: bytes) -> bytes:
    """Return what a security key signed in place of ``signed`` (``PROTOCOL.u2f`` of OpenSSH).

    Raises:
        ValueError: the security key was not touched.
    """
    flags = reader.take(1, "the flags")
    counter = reader.take(_LENGTH, "the counter")
    if not flags[0] & _USER_PRESENT:
        raise ValueError("was made by a security key that was not touched")
    return file_digest(application) + flags + counter + file_digest(signed)


def _fields_of_key(key: bytes) -> tuple[bytes, bytes | None]:
    """Return the point of a key and, for a security key, its application.

    Raises:
        ValueError: the key is of another type, or malformed.
    """
    reader = Reader(key)
    key_type = reader.string("the key type")
    if key_type not in KEY_TYPES:
        shown = key_type[:64].decode("utf-8", "backslashreplace")
        raise ValueError(f"is of the type {shown!r}, which a guarded process does not verify")
    point = reader.string("the public key")
    application = reader.string("the application") if key_type == SECURITY_KEY else None
    reader.end()
    return point, application


def _without_armour(data: bytes) -> bytes:
    """Return the bytes inside the armour (RFC 7468, stricter: no text around it, one line feed).

    Raises:
        ValueError: there is anything else.
    """
    if not data.startswith(_BEGIN):
        raise ValueError(f"does not begin with {_BEGIN.decode().strip()}")
    if not data.endswith(_END):
        raise ValueError(f"does not end with {_END.decode().strip()} and a line feed")
    body = data[len(_BEGIN) : -len(_END)]
    if not body.endswith(b"\n"):
        raise ValueError("is not armoured in lines")
    lines = body[:-1].split(b"\n")
    width = len(lines[0])
    if not 0 < width <= _MAX_LINE or any(len(line) != width for line in lines[1:-1]):
        raise ValueError("is not armoured in lines of one length")
    if not 0 < len(lines[-1]) <= width:
        raise ValueError("is not armoured in lines of one length")
    return base64_text.decode(b"".join(lines))


def _string(field: bytes) -> bytes:
    """Return ``field`` with its length before it (RFC 4251, section 5)."""
    return len(field).to_bytes(_LENGTH, "big") + field


class Reader:
    """Reads fields from bytes, and never past their end."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, size: int, what: str) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            ValueError: there are not so many.
        """
        end = self._position + size
        if end > len(self._data):
            raise ValueError(f"ends before {what}")
        field = self._data[self._position : end]
        self._position = end
        return field

    def string(self, what: str) -> bytes:
        """Return the next field that has its length before it.

        Raises:
            ValueError: the data ends before the field does.
        """
        return self.take(int.from_bytes(self.take(_LENGTH, what), "big"), what)

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            ValueError: there is.
        """
        if self._position != len(self._data):
            raise ValueError("has bytes after its last field")
