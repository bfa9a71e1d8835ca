"""Read ``trust.json``: the signers whose word counts, for one application, and for how long.

An operator writes the policy, and ``codegenie guard install`` pins its digest out of the plugins'
reach. Every value is an exact string: a pattern that matches one name too many is the usual way to
trust a stranger.
"""

from codegenie.parsers import safe_json
from codegenie.result import Err
from codegenie.trust import base64_text, sshsig
from codegenie.trust.statement import application_of, keys_of, time_of
from codegenie.types.parsers import parse_blob_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codegenie.parsers.safe_json import JSONValue

MAX_POLICY_BYTES = 256 * 1024
MAX_POLICY_DEPTH = 4
MAX_SIGNERS = 64
MAX_NAME_LENGTH = 64
"""Characters of a signer's name."""

_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-")
"""Of a signer's name. Other characters have a meaning in an ``allowed_signers`` file."""

MAX_AGE_DAYS = 36500

_RSA = b"ssh-rsa"
KEY_TYPES = (
    *sshsig.KEY_TYPES,
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    _RSA,
)
"""The first types are verified in every process, the others only where a library is allowed."""

EXPIRY_CHOICES = ("required", "optional")
"""``required``: a statement must say when it expires."""

SIGSTORE_FIELDS = (
    "issuer",
    "identity",
    "source_repository",
    "source_repository_id",
    "source_ref",
    "trusted_root",
    "trusted_root_sha256",
)
_FINGERPRINT_START = "SHA256:"
_FINGERPRINT_LENGTH = 50
"""Of ``SHA256:`` and 43 characters of base64, as ``ssh-keygen -l`` prints it."""

_REQUIRED = ("application", "threshold", "signers", "expiry")
_OPTIONAL = ("revoked", "max_age_days")


class Signer:
    """One signer of a policy.

    Attributes:
        name: how messages call the signer.
        key: the key in the encoding of SSH; empty for a Sigstore identity.
        valid_before: seconds since the epoch, or None. Later than that, the key does not count.
        sigstore: the identity, field by field; empty for a key.
    """

    __slots__ = ("key", "name", "sigstore", "valid_before")

    def __init__(
        self,
        name: str,
        *,
        key: bytes = b"",
        valid_before: int | None = None,
        sigstore: "Mapping[str, str] | None" = None,
    ) -> None:
        self.name = name
        self.key = key
        self.valid_before = valid_before
        self.sigstore = dict(sigstore or {})

    @property
    def identity(self) -> str:
        """The text that two names of one signer share: of its key, or its issuer and identity.

        An Ed25519 key has two forms in SSH, plain and for a security key, and one point in both. An
        RSA key has one modulus, which libraries also read with zeros before it.
        """
        if self.key:
            return _modulus_of(self.key) or sshsig.point_of(self.key).hex()
        return f"{self.sigstore['issuer']} {self.sigstore['identity']}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key, as ``revoked`` names it; empty for a Sigstore identity."""
        return sshsig.fingerprint(self.key) if self.key else ""


class Policy:
    """The content of a policy.

    Attributes:
        application: the application that a statement must be for.
        threshold: how many distinct signers must vouch for a lock.
        signers: the signers by name.
        revoked: fingerprints of keys and digests of statements that no longer count.
        expiry_required: whether a statement without ``expires`` is refused.
        max_age_days: how old a statement may be, or None.
    """

    __slots__ = (
        "application",
        "expiry_required",
        "max_age_days",
        "revoked",
        "signers",
        "threshold",
    )

    def __init__(
        self,
        application: str,
        threshold: int,
        signers: "Mapping[str, Signer]",
        *,
        revoked: "frozenset[str]" = frozenset(),
        expiry_required: bool = True,
        max_age_days: int | None = None,
    ) -> None:
        self.application = application
        self.threshold = threshold
        self.signers = signers
        self.revoked = revoked
        self.expiry_required = expiry_required
        self.max_age_days = max_age_days


def parse(data: bytes, *, folder: str = "") -> Policy:
    """Return the content of a policy.

    Args:
        data: the bytes of the file.
        folder: the folder of the file. A relative ``trusted_root`` is below it.

    Raises:
        ValueError: the file breaks a rule of the format, with a sentence on which.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise ValueError(f"is larger than {MAX_POLICY_BYTES} bytes")
    return of(safe_json.parse(data, max_depth=MAX_POLICY_DEPTH), folder=folder)


def of(value: "JSONValue", *, folder: str = "") -> Policy:
    """Return the policy of a parsed document.

    Raises:
        ValueError: as ``parse``.
    """
    fields = keys_of(value, "the policy", _REQUIRED, optional=_OPTIONAL)
    signers = _signers(fields["signers"], folder)
    if fields["expiry"] not in EXPIRY_CHOICES:
        raise ValueError(f"expiry must be {' or '.join(EXPIRY_CHOICES)}")
    return Policy(
        application_of(fields["application"]),
        _integer(fields["threshold"], "threshold", len(signers), "the number of signers"),
        signers,
        revoked=_revoked(fields.get("revoked", [])),
        expiry_required=fields["expiry"] == "required",
        max_age_days=(
            _integer(fields["max_age_days"], "max_age_days", MAX_AGE_DAYS, str(MAX_AGE_DAYS))
            if "max_age_days" in fields
            else None
        ),
    )


def _integer(value: "JSONValue", name: str, highest: int, in_words: str) -> int:
    if type(value) is not int or not 1 <= value <= highest:
        raise ValueError(f"{name} must be an integer from 1 to {in_words}")
    return value


def _signers(value: "JSONValue", folder: str) -> dict[str, Signer]:
    """Return the signers by name.

    Raises:
        ValueError: there is none, there are too many, or one identity has two names: then one
            person could pass for two.
    """
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_SIGNERS:
        raise ValueError(f"signers must be an object of 1 to {MAX_SIGNERS} signers")
    signers: dict[str, Signer] = {}
    names: dict[str, str] = {}
    for name, entry in value.items():
        signer = _signer(name, entry, folder)
        other = names.setdefault(signer.identity, name)
        if other != name:
            raise ValueError(f"the signers {other!r} and {name!r} are the same")
        signers[name] = signer
    return signers


def _signer(name: str, entry: "JSONValue", folder: str) -> Signer:
    if not 0 < len(name) <= MAX_NAME_LENGTH or not _NAME_CHARACTERS.issuperset(name):
        raise ValueError(
            f"the name of a signer must have 1 to {MAX_NAME_LENGTH} of the letters and digits of "
            f"ASCII and . _ @ + -, not {name[:200]!r}"
        )
    if not isinstance(entry, dict) or ("ssh" in entry) == ("sigstore" in entry):
        raise ValueError(f"the signer {name!r} must have either 'ssh' or 'sigstore'")
    try:
        if "sigstore" in entry:
            fields = keys_of(entry, "it", ("sigstore",))
            return Signer(name, sigstore=_identity(fields["sigstore"], folder))
        fields = keys_of(entry, "it", ("ssh",), optional=("valid_before",))
        return Signer(name, key=_key(fields["ssh"]), valid_before=_time(fields, "valid_before"))
    except ValueError as error:
        raise ValueError(f"the signer {name!r}: {error}") from None


def _key(value: "JSONValue") -> bytes:
    if not isinstance(value, str):
        raise ValueError("ssh must be the text of a public key")
    key = sshsig.parse_public_key(value)
    key_type = sshsig.type_of(key)
    if key_type not in KEY_TYPES:
        shown = key_type[:64].decode("utf-8", "backslashreplace")
        raise ValueError(f"{shown!r} is not a supported type of key")
    return key


def _modulus_of(key: bytes) -> str:
    """Return the modulus of an RSA key in hex; empty for another key."""
    if sshsig.type_of(key) != _RSA:
        return ""
    reader = sshsig.Reader(key)
    reader.string("the key type")
    reader.string("the exponent")
    modulus = reader.string("the modulus").lstrip(b"\0").hex()
    reader.end()
    return modulus


def _time(fields: "dict[str, JSONValue]", name: str) -> int | None:
    return time_of(fields[name], name) if name in fields else None


def _identity(value: "JSONValue", folder: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, text in keys_of(value, "sigstore", SIGSTORE_FIELDS).items():
        if not isinstance(text, str) or not text or not text.isprintable():
            raise ValueError(f"{name} must be a printable text")
        fields[name] = text
    if isinstance(parse_blob_digest(fields["trusted_root_sha256"]), Err):
        raise ValueError("trusted_root_sha256 must be a SHA-256 digest (64 lower-case hex digits)")
    if not fields["trusted_root"].startswith("/"):
        fields["trusted_root"] = f"{folder}/{fields['trusted_root']}"
    return fields


def _revoked(value: "JSONValue") -> frozenset[str]:
    """Return the revoked fingerprints and digests.

    Raises:
        ValueError: an entry is neither. Threat: a typing error revokes nothing, and no one sees it.
    """
    if not isinstance(value, list):
        raise ValueError("revoked must be a list")
    return frozenset(revocation_of(item) for item in value)


def revocation_of(value: "JSONValue") -> str:
    """Return one entry of ``revoked``: the fingerprint of a key, or the digest of a statement.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str):
        is_fingerprint = value.startswith(_FINGERPRINT_START) and len(value) == _FINGERPRINT_LENGTH
        if is_fingerprint:
            base64_text.decode(f"{value[len(_FINGERPRINT_START) :]}=".encode("utf-8", "replace"))
            return value
        if not isinstance(parse_blob_digest(value), Err):
            return value
    raise ValueError(
        "an entry of revoked must be the fingerprint of a key (SHA256:…) or the SHA-256 digest of "
        "a statement"
    )
