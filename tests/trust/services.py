"""A private Sigstore that listens on this machine, and what a job needs to sign with it."""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.fixtures.private_sigstore import (
    Identity,
    PrivateSigstore,
    a_minute_ago,
    pem,
    public,
    sha256,
)
from tests.trust.timestamps import TimestampAuthority

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


@contextmanager
def served(
    private: PrivateSigstore,
    identity: Identity | None = None,
    *,
    when: datetime.datetime | None = None,
    timestamps: TimestampAuthority | None = None,
) -> Iterator[str]:
    """Serve the authority and the log on this machine. Yields their address.

    The answers have what the clients of sigstore-python and of cosign need.

    Args:
        private: the keys of the services.
        identity: the name in each certificate.
        when: the time of certificates and of entries in the log; by default a minute ago.
        timestamps: the authority for entries of a log of version 2, which have no time.
    """
    certified = identity or Identity()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/timestamp"):
                assert timestamps is not None
                self.answer(200, timestamps.reply(data), TIMESTAMP)
                return
            asked = json.loads(data)
            if self.path.endswith("/signingCert"):
                self.answer_with(200, _certify(private, certified, asked, when or a_minute_ago()))
            elif "hashedRekordRequestV002" in asked:
                self.answer_with(201, private.entry_of_version_2(asked))
            else:
                answer = _log(private, asked, when or a_minute_ago())
                self.answer_with(201, answer, {"ETag": next(iter(answer)), "Location": self.path})

        def answer_with(
            self, status: int, document: dict[str, Any], headers: Mapping[str, str] = NO_HEADERS
        ) -> None:
            self.answer(status, json.dumps(document).encode(), {**headers, **JSON})

        def answer(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with _serving(Handler) as address:
        yield address


NO_HEADERS: Mapping[str, str] = {}
JSON = {"Content-Type": "application/json"}
TIMESTAMP = {"Content-Type": "application/timestamp-reply"}


def _certify(
    private: PrivateSigstore, identity: Identity, asked: dict[str, Any], when: datetime.datetime
) -> dict[str, Any]:
    """Answer as Fulcio: sigstore-python sends a request for a certificate, cosign a bare key."""
    if "publicKeyRequest" in asked:
        text = asked["publicKeyRequest"]["publicKey"]["content"].encode()
        key: Any = serialization.load_pem_public_key(text)
    else:
        request = base64.b64decode(asked["certificateSigningRequest"])
        key = x509.load_pem_x509_csr(request).public_key()
    leaf = private.certificate(key, identity, when)
    chain = [pem(leaf).decode(), pem(private.authority_certificate()).decode()]
    return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


def _log(
    private: PrivateSigstore, asked: dict[str, Any], when: datetime.datetime
) -> dict[str, Any]:
    """Answer as Rekor."""
    entry = private.entry(asked, asked["kind"], when)
    proof = entry["inclusionProof"]
    log_id = sha256(public(private.log)).hex()
    answer = {
        "body": entry["canonicalizedBody"],
        "integratedTime": int(entry["integratedTime"]),
        "logID": log_id,
        "logIndex": int(entry["logIndex"]),
        "verification": {
            "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "inclusionProof": {
                "logIndex": int(proof["logIndex"]),
                "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                "treeSize": int(proof["treeSize"]),
                "hashes": [base64.b64decode(text).hex() for text in proof["hashes"]],
                "checkpoint": proof["checkpoint"]["envelope"],
            },
        },
    }
    return {log_id: answer}


@contextmanager
def tokens_of_github() -> Iterator[dict[str, str]]:
    """Serve identity tokens as GitHub does. Yields the variables that a job gets."""
    secret = "the job's own"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Authorization"] == f"bearer {secret}"
            data = json.dumps({"value": token()} if asked else {}).encode()
            self.send_response(200 if asked and "audience=sigstore" in self.path else 401)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with _serving(Handler) as address:
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret,
        }


@contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def config_of(private: PrivateSigstore, address: str, *, log: int = 1) -> dict[str, Any]:
    """Return the client trust configuration of the private instance.

    Args:
        private: the keys of the services.
        address: of the services.
        log: the version of the log. With version 2, a timestamp authority gives the time.
    """
    service = {
        "url": address,
        "majorApiVersion": 1,
        "operator": "acme",
        "validFor": {"start": "2024-01-01T00:00:00Z"},
    }
    timestamps = [{**service, "url": f"{address}/api/v1/timestamp"}] if log > 1 else []
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(private.trusted_root()),
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service],
            "oidcUrls": [service],
            "rekorTlogUrls": [{**service, "majorApiVersion": log}],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": timestamps,
            "tsaConfig": {"selector": "ANY"},
        },
    }
