"""``plugins sign --sigstore`` against a private Sigstore that listens on this machine."""

from __future__ import annotations

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from codegenie.trust import library_process
from codegenie.trust.policy import Signer
from tests.fixtures.private_sigstore import (
    Identity,
    PrivateSigstore,
    a_minute_ago,
    pem,
    public,
    sha256,
)

UNSIGNED = "eyJhbGciOiJub25lIn0"
"""The header of an identity token: the private authority does not check its signature."""


def token() -> str:
    now = int(time.time())
    claims = {
        "iss": Identity().issuer,
        "sub": "repo:acme/shop:ref:refs/heads/main",
        "aud": "sigstore",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{UNSIGNED}.{body}.c2ln"


@pytest.fixture
def private() -> PrivateSigstore:
    return PrivateSigstore()


@pytest.fixture
def address(private: PrivateSigstore) -> Iterator[str]:
    """Serve the authority and the log on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(size))
            answer = self.certify(asked) if "signingCert" in self.path else self.log(asked)
            data = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def certify(self, asked: dict[str, Any]) -> dict[str, Any]:
            text = base64.b64decode(asked["certificateSigningRequest"])
            request: Any = x509.load_pem_x509_csr(text)
            leaf = private.certificate(request, Identity(), a_minute_ago())
            chain = [pem(leaf).decode(), pem(private.authority_certificate()).decode()]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

        def log(self, asked: dict[str, Any]) -> dict[str, Any]:
            entry = private.entry(asked, "hashedrekord", a_minute_ago())
            proof = entry["inclusionProof"]
            return {
                sha256(public(private.log)).hex(): {
                    "body": entry["canonicalizedBody"],
                    "integratedTime": int(entry["integratedTime"]),
                    "logID": sha256(public(private.log)).hex(),
                    "logIndex": 0,
                    "verification": {
                        "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                        "inclusionProof": {
                            "logIndex": 0,
                            "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                            "treeSize": 1,
                            "hashes": [],
                            "checkpoint": proof["checkpoint"]["envelope"],
                        },
                    },
                }
            }

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def config_of(private: PrivateSigstore, address: str) -> dict[str, Any]:
    """Return the client trust configuration of the private instance."""
    service = {
        "url": address,
        "majorApiVersion": 1,
        "operator": "acme",
        "validFor": {"start": "2024-01-01T00:00:00Z"},
    }
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(private.trusted_root()),
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service],
            "oidcUrls": [service],
            "rekorTlogUrls": [service],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        },
    }


def codegenie(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codegenie", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_job_signs_and_its_policy_accepts(
    private: PrivateSigstore, address: str, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugins" / "alpha"
    plugin.mkdir(parents=True)
    (plugin / "api.py").write_text("ANSWER = 42\n")
    (tmp_path / "config.json").write_text(json.dumps(config_of(private, address)))
    root = private.write_trusted_root(tmp_path / "trusted_root.json")

    assert codegenie(tmp_path, "plugins", "lock").returncode == 0
    sign = ("plugins", "sign", "--as", "ci", "--sigstore", "--application", "shop")
    config = ("--sigstore-config", "config.json")

    done = codegenie(tmp_path, *sign, *config)
    assert done.returncode != 0
    assert "this job has no identity token" in done.stderr

    done = codegenie(tmp_path, *sign, *config, SIGSTORE_ID_TOKEN=token(), GITLAB_CI="true")
    assert done.returncode == 0, done.stderr

    statement = (tmp_path / "plugins" / "PLUGINS.statement.json").read_bytes()
    bundle = (tmp_path / "plugins" / "PLUGINS.signatures" / "ci.sigstore.json").read_bytes()
    verify = library_process.verifiers()["sigstore"]
    verdict = verify(statement, bundle, Signer("ci", sigstore=Identity().in_a_policy(root)))
    assert str(verdict) == "Ok(None)"
    _check_by_the_command_line(tmp_path, root)


def _check_by_the_command_line(folder: Path, root: Path) -> None:
    fields = Identity().in_a_policy(root)
    options = [f"--{name.replace('_', '-')}={fields[name]}" for name in fields]
    policy = "--application=shop"
    assert codegenie(folder, "trust", "init", "trust.json", policy).returncode == 0
    added = codegenie(folder, "trust", "add", "trust.json", "ci", "--sigstore", *options)
    assert added.returncode == 0, added.stderr
    check = ("trust", "check", "trust.json", "plugins")
    checked = codegenie(folder, *check)
    assert checked.returncode == 0, checked.stderr
    assert codegenie(folder, *check, "--at-start").returncode == 4
    (folder / "plugins" / "alpha" / "api.py").write_text("ANSWER = 43\n")
    assert codegenie(folder, "plugins", "lock").returncode == 0
    assert codegenie(folder, *check).returncode == 4


def test_service_that_fails_signs_nothing(private: PrivateSigstore, tmp_path: Path) -> None:
    plugin = tmp_path / "plugins" / "alpha"
    plugin.mkdir(parents=True)
    (plugin / "api.py").write_text("ANSWER = 42\n")
    config = config_of(private, "http://127.0.0.1:9")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert codegenie(tmp_path, "plugins", "lock").returncode == 0
    done = codegenie(
        tmp_path,
        "plugins",
        "sign",
        "--as=ci",
        "--sigstore",
        "--application=shop",
        "--sigstore-config=config.json",
        SIGSTORE_ID_TOKEN=token(),
        GITLAB_CI="true",
    )
    assert done.returncode != 0
    assert "Sigstore has not signed" in done.stderr
    assert not (tmp_path / "plugins" / "PLUGINS.statement.json").exists()
