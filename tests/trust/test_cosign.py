"""Files that ``cosign`` has written: one way of signing counts, and every other has its reason.

``cosign_files`` says how the files in ``cosign/`` were made. Each holds a genuine signature over
the statement, so a verifier that looked at the signature alone would accept it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from codegenie.result import Err
from codegenie.trust import sigstore_bundles
from codegenie.trust.policy import Signer
from tests.fixtures.private_sigstore import Identity, PrivateSigstore
from tests.trust import cosign_files
from tests.trust.cosign_files import KEY, ROOT, STATEMENT

FILES = Path(__file__).with_name("cosign")

COUNTING = ("job", "job-log-2")
"""By the job of the policy, in a log of version 1 or 2."""

REFUSED = {
    "other-job": "SANs do not match",
    "job-unlogged": "is in no transparency log",
    "key": "is by a bare key",
    "key-logged": "is by a bare key",
    "old-key": "is in the old format of cosign",
    "old-key-logged": "is in the old format of cosign",
    "old-job": "is in the old format of cosign",
    "attestation": "is a DSSE envelope",
}


def read(name: str, folder: Path = FILES) -> bytes:
    return (folder / f"{name}.sigstore.json").read_bytes()


def verdict(bundle: bytes, *, folder: Path = FILES, signed: bytes | None = None) -> str:
    """Return why a bundle is refused for the job of the policy, or nothing."""
    data = (folder / STATEMENT).read_bytes() if signed is None else signed
    signer = Signer("ci", sigstore=Identity().in_a_policy(folder / ROOT))
    result = sigstore_bundles.verify_signature(data, bundle, signer)
    return result.error if isinstance(result, Err) else ""


def test_files_are_all_here() -> None:
    names = {path.name.partition(".")[0] for path in FILES.glob("*.sigstore.json")}
    assert names == {*COUNTING, *REFUSED}
    assert (FILES / STATEMENT).read_bytes() == cosign_files.statement_of_the_plugin()


@pytest.mark.parametrize("name", COUNTING)
def test_bundle_of_the_policys_job_counts(name: str) -> None:
    assert verdict(read(name)) == ""


@pytest.mark.parametrize(("name", "says"), REFUSED.items())
def test_every_other_file_is_refused(name: str, says: str) -> None:
    assert says in verdict(read(name))


def signature_of(document: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the signature in a file, and the bytes that it must be over."""
    statement = (FILES / STATEMENT).read_bytes()
    if "base64Signature" in document:
        return base64.b64decode(document["base64Signature"]), statement
    if "messageSignature" in document:
        return base64.b64decode(document["messageSignature"]["signature"]), statement
    envelope = document["dsseEnvelope"]
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    return base64.b64decode(envelope["signatures"][0]["sig"]), signed


def key_of(name: str, document: dict[str, Any]) -> Any:
    """Return the key that a file names: of its certificate, or ``key.pub``."""
    if "key" in name.split("-"):
        return serialization.load_pem_public_key((FILES / KEY).read_bytes())
    if "cert" in document:
        certificate = x509.load_pem_x509_certificate(base64.b64decode(document["cert"]))
    else:
        raw = document["verificationMaterial"]["certificate"]["rawBytes"]
        certificate = x509.load_der_x509_certificate(base64.b64decode(raw))
    return certificate.public_key()


@pytest.mark.parametrize("name", [*COUNTING, *REFUSED])
def test_each_file_has_a_genuine_signature(name: str) -> None:
    document = json.loads(read(name))
    signature, signed = signature_of(document)
    key = key_of(name, document)
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed + b" ", ec.ECDSA(hashes.SHA256()))


def flip_the_signature(document: dict[str, Any]) -> None:
    value = bytearray(base64.b64decode(document["messageSignature"]["signature"]))
    value[-1] ^= 1
    document["messageSignature"]["signature"] = base64.b64encode(value).decode()


def flip_the_digest(document: dict[str, Any]) -> None:
    digest = document["messageSignature"]["messageDigest"]
    value = bytearray(base64.b64decode(digest["digest"]))
    value[0] ^= 1
    digest["digest"] = base64.b64encode(value).decode()


def flip_the_certificate(document: dict[str, Any]) -> None:
    certificate = document["verificationMaterial"]["certificate"]
    value = bytearray(base64.b64decode(certificate["rawBytes"]))
    value[-1] ^= 1
    certificate["rawBytes"] = base64.b64encode(value).decode()


def flip_the_promise(document: dict[str, Any]) -> None:
    (entry,) = document["verificationMaterial"]["tlogEntries"]
    value = bytearray(base64.b64decode(entry["inclusionPromise"]["signedEntryTimestamp"]))
    value[-1] ^= 1
    entry["inclusionPromise"]["signedEntryTimestamp"] = base64.b64encode(value).decode()


def flip_the_root_hash(document: dict[str, Any]) -> None:
    (entry,) = document["verificationMaterial"]["tlogEntries"]
    value = bytearray(base64.b64decode(entry["inclusionProof"]["rootHash"]))
    value[0] ^= 1
    entry["inclusionProof"]["rootHash"] = base64.b64encode(value).decode()


def take_another_certificate(document: dict[str, Any]) -> None:
    other = json.loads(read("job-unlogged"))["verificationMaterial"]["certificate"]
    document["verificationMaterial"]["certificate"] = other


def take_another_entry(document: dict[str, Any]) -> None:
    other = json.loads(read("key-logged"))["verificationMaterial"]["tlogEntries"]
    document["verificationMaterial"]["tlogEntries"] = other


def add_a_bare_key(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["publicKey"] = {"hint": "mine"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flip_the_signature, ""),
        (flip_the_digest, "digest mismatch"),
        (flip_the_certificate, ""),
        (flip_the_promise, ""),
        (flip_the_root_hash, ""),
        (take_another_certificate, ""),
        (take_another_entry, ""),
        (add_a_bare_key, "is by a bare key"),
    ],
)
def test_changed_bundle_is_refused(change: Callable[[dict[str, Any]], None], says: str) -> None:
    document = json.loads(read("job"))
    assert verdict(json.dumps(document).encode()) == ""
    change(document)
    said = verdict(json.dumps(document).encode())
    assert said
    assert says in said


def drop_the_timestamp(document: dict[str, Any]) -> None:
    del document["verificationMaterial"]["timestampVerificationData"]


def flip_the_timestamp(document: dict[str, Any]) -> None:
    data = document["verificationMaterial"]["timestampVerificationData"]
    (timestamp,) = data["rfc3161Timestamps"]
    value = bytearray(base64.b64decode(timestamp["signedTimestamp"]))
    value[-1] ^= 1
    timestamp["signedTimestamp"] = base64.b64encode(value).decode()


def name_a_time(document: dict[str, Any]) -> None:
    """Give a time that nothing signs, in place of the timestamp."""
    drop_the_timestamp(document)
    (entry,) = document["verificationMaterial"]["tlogEntries"]
    entry["integratedTime"] = str(int(cosign_files.WHEN.timestamp()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flip_the_signature, ""),
        (flip_the_root_hash, ""),
        (take_another_entry, ""),
        (drop_the_timestamp, "promise or signed timestamp"),
        (flip_the_timestamp, "not enough sources of verified time"),
        (name_a_time, "promise or signed timestamp"),
    ],
)
def test_changed_bundle_of_a_log_of_version_2_is_refused(
    change: Callable[[dict[str, Any]], None], says: str
) -> None:
    document = json.loads(read("job-log-2"))
    change(document)
    said = verdict(json.dumps(document).encode())
    assert said
    assert says in said


def test_timestamp_of_an_unknown_authority_does_not_count(tmp_path: Path) -> None:
    root = json.loads((FILES / ROOT).read_bytes())
    root["timestampAuthorities"] = []
    (tmp_path / ROOT).write_text(json.dumps(root))
    shutil.copy(FILES / STATEMENT, tmp_path)
    assert verdict(read("job"), folder=tmp_path) == ""
    assert "no Timestamp Authorities" in verdict(read("job-log-2"), folder=tmp_path)


def test_bundle_counts_for_its_statement_alone() -> None:
    signed = (FILES / STATEMENT).read_bytes()
    other = signed.replace(b'"sequence": 1', b'"sequence": 2')
    assert other != signed
    assert "digest mismatch" in verdict(read("job"), signed=other)


def test_bundle_that_leaves_out_zeros_is_refused_by_field() -> None:
    """Refuse what cosign writes of the first entry of a log: the library requires the zeros."""
    document = json.loads(read("job"))
    del document["verificationMaterial"]["tlogEntries"][0]["logIndex"]
    said = verdict(json.dumps(document).encode())
    assert "verificationMaterial.tlogEntries.0.logIndex: Field required" in said
    assert "\n" not in said


def codegenie(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codegenie", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """Return a folder with the plugin, its lock, its statement, and a policy that names the job."""
    plugin = tmp_path / "plugins" / "alpha" / "api.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(cosign_files.PLUGIN)
    assert codegenie(tmp_path, "plugins", "lock").returncode == 0
    shutil.copy(FILES / STATEMENT, tmp_path / "plugins")
    (tmp_path / "plugins" / "PLUGINS.signatures").mkdir()
    shutil.copy(FILES / ROOT, tmp_path)
    fields = Identity().in_a_policy(tmp_path / ROOT)
    options = [f"--{name.replace('_', '-')}={fields[name]}" for name in fields]
    assert codegenie(tmp_path, "trust", "init", "trust.json", "--application=shop").returncode == 0
    added = codegenie(tmp_path, "trust", "add", "trust.json", "ci", "--sigstore", *options)
    assert added.returncode == 0, added.stderr
    return tmp_path


def place(deployed: Path, name: str) -> None:
    target = deployed / "plugins" / "PLUGINS.signatures" / "ci.sigstore.json"
    target.write_bytes(read(name))


VERIFY = ("plugins", "verify", "--trust", "trust.json")


def test_command_accepts_the_jobs_bundle_and_no_other(deployed: Path) -> None:
    for name in COUNTING:
        place(deployed, name)
        done = codegenie(deployed, *VERIFY)
        assert done.returncode == 0, done.stderr
    for name, says in REFUSED.items():
        place(deployed, name)
        done = codegenie(deployed, *VERIFY)
        assert done.returncode == 4, name
        assert "0 of 1 needed signers" in done.stderr
        assert says in " ".join(done.stderr.split()), (name, done.stderr)
        assert "Traceback" not in done.stderr
    place(deployed, "job")
    (deployed / "plugins" / "alpha" / "api.py").write_text("ANSWER = 43\n")
    assert codegenie(deployed, "plugins", "lock").returncode == 0
    done = codegenie(deployed, *VERIFY)
    assert done.returncode == 4
    assert "the statement is about another lock" in done.stderr


def test_policy_of_ssh_keys_names_the_kind_of_file(deployed: Path) -> None:
    """Refuse a bundle by a bare key for a signer with an SSH key too, even if it is the same."""
    key = serialization.load_pem_public_key((FILES / KEY).read_bytes())
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (deployed / "key.pub").write_bytes(line + b"\n")
    policy = ("trust", "init", "keys.json", "--application=shop")
    assert codegenie(deployed, *policy).returncode == 0
    assert codegenie(deployed, "trust", "add", "keys.json", "a", "--ssh=key.pub").returncode == 0
    place(deployed, "key")
    done = codegenie(deployed, "plugins", "verify", "--trust", "keys.json")
    assert done.returncode == 4
    assert "is a Sigstore bundle, and the policy names no Sigstore identity" in " ".join(
        done.stderr.split()
    )


COSIGN = shutil.which("cosign")
needs_cosign = pytest.mark.skipif(
    COSIGN is None, reason="needs the program cosign; files that it wrote are tested above"
)


@needs_cosign
def test_cosign_of_this_machine_writes_the_same(tmp_path: Path) -> None:
    cosign_files.make(str(COSIGN), tmp_path)
    for name in COUNTING:
        assert verdict(read(name, tmp_path), folder=tmp_path) == ""
    for name, says in REFUSED.items():
        assert says in verdict(read(name, tmp_path), folder=tmp_path), name


@needs_cosign
def test_cosign_verifies_what_a_job_signed(tmp_path: Path) -> None:
    """Let cosign decide about a bundle of this project's private Sigstore, and a changed file."""
    private = PrivateSigstore()
    private.write_trusted_root(tmp_path / ROOT)
    data = cosign_files.statement_of_the_plugin()
    (tmp_path / STATEMENT).write_bytes(data)
    (tmp_path / "ci.sigstore.json").write_text(json.dumps(private.sign(data)))
    command = [
        *(str(COSIGN), "verify-blob", "--bundle=ci.sigstore.json", f"--trusted-root={ROOT}"),
        f"--certificate-identity={Identity().identity}",
        *(f"--certificate-oidc-issuer={Identity().issuer}", STATEMENT),
    ]
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    assert subprocess.run(command, cwd=tmp_path, env=home, check=False).returncode == 0
    (tmp_path / STATEMENT).write_bytes(data + b" ")
    assert subprocess.run(command, cwd=tmp_path, env=home, check=False).returncode != 0
