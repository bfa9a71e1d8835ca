"""Verify the signatures that need a library, in a process that no planted library can enter.

Threat: the command line runs with ``PYTHONPATH``, the working directory or the user's own
site-packages on ``sys.path``. A ``cryptography.py`` of ten lines there accepts every signature.
Rule: each signature is verified by a new interpreter with ``-I`` and without the environment of
this one, so it finds the standard library and the packages installed in its environment alone. That
process opens no socket. Any other answer than its own "verified" is a refusal: a missing library, a
crash, or a line too many.

Not stopped: an attacker who can write in the environment itself, or whose code already runs in the
calling process. No code can check the process that runs it.
"""

import json
import os
import subprocess
import sys

from codegenie.parsers import safe_json
from codegenie.result import Err, Ok
from codegenie.trust import base64_text, vouching
from codegenie.trust.policy import Signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codegenie.result import Result
    from codegenie.trust.vouching import Verifier

TIMEOUT = 120
"""Seconds for one signature. Loading the libraries takes less than one."""

EXTRAS: "Mapping[str, str]" = {vouching.SIGSTORE: "sigstore", vouching.OTHER_KEYS: "keys"}
"""The optional dependencies that each kind of signature needs."""

_VERIFIED = b'{"verified": true}'
_MAX_DEPTH = 3
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables that the interpreter itself may need to start."""


def verifiers() -> "dict[str, Verifier]":
    """Return a verifier of each kind of signature that needs a library."""
    return {kind: _verifier(kind) for kind in EXTRAS}


def _verifier(kind: str) -> "Verifier":
    def verify(signed: bytes, signature: bytes, signer: Signer) -> "Result[None, str]":
        return _ask(_request(kind, signed, signature, signer))

    return verify


def _request(kind: str, signed: bytes, signature: bytes, signer: Signer) -> bytes:
    texts = {"signed": signed, "signature": signature, "key": signer.key}
    document = {name: base64_text.encode(data).decode("ascii") for name, data in texts.items()}
    identity = {"kind": kind, "name": signer.name, "sigstore": signer.sigstore}
    return json.dumps({**document, **identity}).encode("ascii")


def _ask(request: bytes) -> "Result[None, str]":
    """Return the verdict of another process."""
    if not sys.executable:
        return Err("cannot be verified: this process does not know its interpreter")
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-m", __name__],
            input=request,
            capture_output=True,
            cwd="/",
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Err(f"cannot be verified: {error}")
    answer = done.stdout.strip()
    if done.returncode == 0 and answer == _VERIFIED:
        return Ok(None)
    return Err(_reason(answer, done.stderr))


def _reason(answer: bytes, errors: bytes) -> str:
    try:
        document = safe_json.parse(answer, max_depth=_MAX_DEPTH)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        return str(document["error"])
    else:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"cannot be verified: {last or 'its verifier gave no verdict'}"


def _answer(request: bytes) -> "Result[None, str]":
    """Verify one signature in this process."""
    document = safe_json.parse(request, max_depth=_MAX_DEPTH)
    if not isinstance(document, dict):
        return Err("is not a request")
    kind = str(document["kind"])
    try:
        if kind == vouching.SIGSTORE:
            from codegenie.trust import sigstore_bundles as module
        elif kind == vouching.OTHER_KEYS:
            from codegenie.trust import other_keys as module  # type: ignore[no-redef]
        else:
            return Err("is of a kind that no library verifies")
    except ImportError as error:
        return Err(f"cannot be verified: {error}; run: pip install 'codegenie[{EXTRAS[kind]}]'")
    identity = document["sigstore"]
    fields = identity.items() if isinstance(identity, dict) else ()
    signer = Signer(
        str(document["name"]),
        key=_bytes(document["key"]),
        sigstore={name: str(text) for name, text in fields},
    )
    return module.verify_signature(
        _bytes(document["signed"]), _bytes(document["signature"]), signer
    )


def _bytes(text: object) -> bytes:
    return base64_text.decode(str(text).encode("ascii"))


def _refuse_sockets(event: str, _: object) -> None:
    """Refuse every use of the network: the trusted root is in a file, so a verifier needs none."""
    if event.startswith("socket."):
        raise PermissionError("a verifier opens no socket")


def main() -> None:
    """Read one request from standard input and answer it on standard output."""
    # Libraries may print: their lines must not be taken for the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.addaudithook(_refuse_sockets)
    try:
        verdict = _answer(sys.stdin.buffer.read())
    except Exception as error:
        verdict = Err(f"cannot be verified: {type(error).__name__}: {error}")
    # Not `isinstance(..., Err)`: anything that is not a success is a failure.
    said = {"verified": True} if isinstance(verdict, Ok) else {"error": verdict.error}
    os.write(answer, json.dumps(said).encode("ascii") + b"\n")


if __name__ == "__main__":
    main()
