"""A timestamp authority (RFC 3161) for tests. ``openssl ts`` signs its replies."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.fixtures.private_sigstore import LONG, new_key, pem, start_of_the_instance

OPENSSL = shutil.which("openssl")

SETTINGS = """\
[tsa]
default_tsa = only
[only]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class TimestampAuthority:
    """An authority in a folder of its own. ``chain`` goes into the trusted root."""

    folder: Path
    chain: tuple[x509.Certificate, ...]

    def reply(self, query: bytes) -> bytes:
        """Return the signed present time for a query."""
        (self.folder / "query").write_bytes(query)
        subprocess.run(
            [
                *(str(OPENSSL), "ts", "-reply", "-config", "settings"),
                *("-queryfile", "query", "-out", "reply"),
            ],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        return (self.folder / "reply").read_bytes()


def make_timestamp_authority(folder: Path) -> TimestampAuthority:
    """Make the keys and certificates of an authority."""
    root, key = new_key(), new_key()
    chain = (_certificate("acme timestamps", key, root), _certificate("acme root", root, root))
    (folder / "tsa.pem").write_bytes(pem(chain[0]))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "tsa.key").write_bytes(private)
    (folder / "serial").write_text("01\n")
    (folder / "settings").write_text(SETTINGS.format(folder=folder))
    return TimestampAuthority(folder, chain)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    is_root = key is issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme root")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start_of_the_instance())
        .not_valid_after(start_of_the_instance() + LONG)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )
    if not is_root:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer, hashes.SHA256())
