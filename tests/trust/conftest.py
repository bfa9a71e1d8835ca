from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sigstore

from codegenie.trust.policy import Signer
from tests.fixtures.private_sigstore import Identity, PrivateSigstore
from tests.fixtures.signers import statement_of

MATERIAL = Path(__file__).with_name("material.txt")
SUFFIXES = (".attestation", ".provenance", ".sigstore")


@dataclass
class Instance:
    """A private Sigstore, its trusted root in a file, and a statement to sign."""

    sigstore: PrivateSigstore
    root: Path
    statement: bytes

    def signer(self, identity: Identity | None = None, **changed: str) -> Signer:
        """Return the signer of a policy. ``changed`` replaces fields of the policy."""
        fields = (identity or Identity()).in_a_policy(self.root)
        return Signer("ci", sigstore={**fields, **changed})

    def bundle(self, *args: Any, **kwargs: Any) -> bytes:
        return json.dumps(self.sigstore.sign(self.statement, *args, **kwargs)).encode()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    private = PrivateSigstore()
    root = private.write_trusted_root(tmp_path / "trusted_root.json")
    return Instance(private, root, statement_of(b"{}\n"))


@dataclass(frozen=True)
class RealBundle:
    """A bundle of a public instance."""

    name: str
    instance: str
    document: dict[str, Any]

    @property
    def data(self) -> bytes:
        return json.dumps(self.document).encode()


def public_trusted_root(instance: str) -> Path:
    """Return the trusted root of a public instance, as the library brings it."""
    store = Path(str(sigstore.__file__)).parent / "_store"
    return store / f"https%3A%2F%2Ftuf-repo-cdn.{instance}.dev" / "trusted_root.json"


def pip_download(pins: Path, tmp_path_factory: pytest.TempPathFactory, *options: str) -> list[Path]:
    """Return the pinned files, which are downloaded and not installed."""
    folder = tmp_path_factory.mktemp("downloaded")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    subprocess.run(
        [*pip, *options, "-r", str(pins), "-d", str(folder)],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def real_bundles(tmp_path_factory: pytest.TempPathFactory) -> list[RealBundle]:
    """Return every bundle of the pinned source distribution."""
    sources = ("--no-binary", ":all:", "--no-build-isolation")
    (archive,) = pip_download(MATERIAL, tmp_path_factory, *sources)
    found: list[RealBundle] = []
    with tarfile.open(archive) as members:
        for member in members:
            if "/test/assets/" in member.name and member.name.endswith(SUFFIXES):
                content = members.extractfile(member)
                assert content is not None
                name = member.name.rpartition("/")[2]
                found += [
                    RealBundle(name, _instance_of(bundle), bundle)
                    for bundle in _bundles(json.load(content))
                ]
    return found


def _bundles(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a file holds as Sigstore bundles: one, one attestation, or several."""
    if "mediaType" in document:
        return [document]
    if "envelope" in document:
        return [_bundle_of(document)]
    return [
        _bundle_of(attestation)
        for group in document["attestation_bundles"]
        for attestation in group["attestations"]
    ]


def _bundle_of(attestation: dict[str, Any]) -> dict[str, Any]:
    """Return an attestation of PEP 740 as the bundle that it was made from."""
    material, envelope = attestation["verification_material"], attestation["envelope"]
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": material["certificate"]},
            "tlogEntries": material["transparency_entries"],
        },
        "dsseEnvelope": {
            "payload": envelope["statement"],
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": envelope["signature"]}],
        },
    }


STAGING_LOG = "0y8wo8MtY5wrdiIFohx7sHeI5oKDpK5vQhGHI6G+pJY="
"""The id of the staging instance's transparency log."""


def _instance_of(bundle: dict[str, Any]) -> str:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    return "sigstage" if entry["logId"]["keyId"] == STAGING_LOG else "sigstore"
