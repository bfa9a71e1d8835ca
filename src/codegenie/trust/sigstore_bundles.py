"""Verify Sigstore bundles over a statement, offline, for one exact identity.

No guarded process loads this module, because it needs the package ``sigstore`` (the extra of that
name) and half a second. ``library_process`` runs it at the installation and in CI, in a process
that no library on ``PYTHONPATH`` can enter.

Threat: ``Verifier.production(offline=True)`` reads the trusted root from a cache in the user's home
folder and does not verify it, so an attacker who writes that file can issue any identity. Rule: the
trusted root is the file that the policy names. It is read once, and its digest must be the one in
the policy.

The steps, in this order:

1. the trusted root has the pinned digest;
2. the file is one bundle of version 0.3 over a message, in strict JSON. A DSSE envelope is refused:
   it carries a payload of its own, and a signer must never have signed two things in one file. So
   are a bundle by a bare key, which names no identity, and a bundle that is in no log;
3. the library checks the certificate chain, the CT log, the transparency log, the time and the
   signature over the bytes of the statement;
4. the certificate names exactly one identity. It, its issuer, and the repository with its id and
   ref are those of the policy, letter for letter.

Not checked here: who may run the workflow, and what the workflow does.
"""

import tempfile

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from codegenie.files import read_regular
from codegenie.hashing import file_digest
from codegenie.parsers import safe_json
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

    from codegenie.result import Result
    from codegenie.trust.policy import Signer

MEDIA_TYPES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
"""Of a bundle of version 0.3. Earlier versions bring a chain of certificates of their own."""

MAX_TRUSTED_ROOT_BYTES = 1024 * 1024
"""The trusted root of the public instance has 7,000 bytes."""

MAX_BUNDLE_DEPTH = 12
_CONTENT = "messageSignature"
_MATERIAL = "verificationMaterial"
_FIELDS = frozenset(("mediaType", _MATERIAL, _CONTENT))

_OLD_COSIGN = "base64Signature"
"""A field of the files that cosign wrote before version 3."""


def verify_signature(signed: bytes, signature: bytes, signer: "Signer") -> "Result[None, str]":
    """Return Ok if the identity of ``signer`` made the bundle ``signature`` over ``signed``.

    Never raises: an exception, of whatever library, is a refusal.
    """
    try:
        verify(signed, signature, signer.sigstore)
    except Exception as error:
        return Err(_sentence(error))
    return Ok(None)


def verify(signed: bytes, bundle: bytes, identity: "Mapping[str, str]") -> None:
    """Check a bundle over ``signed``.

    Args:
        signed: the bytes of the statement.
        bundle: the bytes of the bundle.
        identity: the fields of ``sigstore`` in the policy.

    Raises:
        Exception: of any kind; the bundle does not count.
    """
    root = _trusted_root(identity["trusted_root"], identity["trusted_root_sha256"])
    check_form(bundle)
    Verifier(trusted_root=root).verify_artifact(
        signed, Bundle.from_json(bundle), _requirements(identity)
    )


class _OneName:
    """Requires that a certificate names one identity, so that no second one can be chosen."""

    def verify(self, cert: "Certificate") -> None:
        """Check a certificate.

        Raises:
            ValueError: it names none, or several.
        """
        found = [
            extension
            for extension in cert.extensions
            if extension.oid.dotted_string == _SUBJECT_ALTERNATIVE_NAME
        ]
        if len(found) != 1 or len(list(found[0].value)) != 1:
            raise ValueError("the certificate does not name exactly one identity")


_SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"


def _requirements(identity: "Mapping[str, str]") -> policy.VerificationPolicy:
    """Return what a certificate must say. The library compares whole strings."""
    return policy.AllOf(
        [
            _OneName(),
            policy.Identity(identity=identity["identity"]),
            policy.OIDCIssuerV2(identity["issuer"]),
            policy.OIDCSourceRepositoryURI(identity["source_repository"]),
            policy.OIDCSourceRepositoryIdentifier(identity["source_repository_id"]),
            policy.OIDCSourceRepositoryRef(identity["source_ref"]),
        ]
    )


def _trusted_root(path: str, sha256: str) -> TrustedRoot:
    """Return the trusted root, parsed from the bytes whose digest was compared.

    Raises:
        ValueError: the file cannot be read, or is another.
    """
    data = read_regular(path, max_bytes=MAX_TRUSTED_ROOT_BYTES)
    if isinstance(data, Err):
        raise ValueError(f"its trusted root {data.error.detail}: {data.error.path}")
    if file_digest(data.value).hex() != sha256:
        raise ValueError(f"its trusted root is not the one in the policy: {path}")
    # The library reads trusted roots from files only. Reading `path` again would let an attacker
    # replace the file after the comparison, so the library gets a private copy.
    with tempfile.NamedTemporaryFile(prefix="codegenie-") as copy:
        copy.write(data.value)
        copy.flush()
        return TrustedRoot.from_file(copy.name)


def check_form(bundle: bytes) -> None:
    """Check that the file is one bundle of version 0.3 over a message.

    Raises:
        ValueError: it is anything else, or two readers could read it in two ways.
    """
    value = safe_json.parse(bundle, max_depth=MAX_BUNDLE_DEPTH)
    if isinstance(value, dict) and _OLD_COSIGN in value:
        raise ValueError(
            "is in the old format of cosign: "
            "sign again with cosign 3, and not with --new-bundle-format=false"
        )
    if not isinstance(value, dict) or value.get("mediaType") not in MEDIA_TYPES:
        raise ValueError("is not a Sigstore bundle of version 0.3")
    if "dsseEnvelope" in value:
        raise ValueError("is a DSSE envelope, not a signature over the statement")
    if set(value) != _FIELDS:
        raise ValueError("is not a Sigstore bundle with a signature over a message")
    _check_material(value[_MATERIAL])


def _check_material(material: object) -> None:
    """Check that a bundle is by an identity, and in a log.

    The library refuses the others too, but says only how its model of a bundle is violated.

    Raises:
        ValueError: it is by a bare key, or in no log.
    """
    if not isinstance(material, dict):
        raise ValueError("is not a Sigstore bundle: its verification material is no object")
    if "publicKey" in material:
        raise ValueError(
            "is by a bare key, and a Sigstore signer is an identity: "
            "sign with an SSH key (codegenie plugins sign --key) instead"
        )
    if not material.get("tlogEntries"):
        raise ValueError("is in no transparency log, so nothing shows when it was signed")


def _sentence(error: Exception) -> str:
    """Return the first line of an error; libraries append whole documents to theirs.

    If a model of the library is violated, return the first violation as well: the first line only
    counts them.
    """
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if len(lines) > 2 and " validation error" in lines[0]:
        return f"{lines[0]}: {lines[1]}: {lines[2].partition(' [')[0]}"
    return lines[0] if lines else type(error).__name__
