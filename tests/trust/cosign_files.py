"""Sign a statement with ``cosign`` in every way that gives another file.

The files in ``cosign/`` are the output of cosign 3.1.1. To make others, with the ``cosign`` on
PATH::

    python -m tests.trust.cosign_files tests/trust/cosign

The identities are certified by a private Sigstore, and no service of the public instance is called.
The private keys are made for one run, and are not kept.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codegenie.trust import statement
from codegenie.trust.statement import Statement
from tests.fixtures.private_sigstore import Identity, PrivateSigstore
from tests.trust.services import config_of, served, token
from tests.trust.timestamps import make_timestamp_authority

STATEMENT, ROOT, KEY = "PLUGINS.statement.json", "trusted_root.json", "key.pub"

WHEN = datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC)
"""The time of the statement, of every certificate and of every entry in the log."""

PLUGIN = "ANSWER = 42\n"
"""The only file of the only plugin, ``alpha/api.py``."""

LOCK_SHA256 = "dc0b5ed24c63388549f2791eb3efc4c29bebc6ca6de8d07f0d9c671bf50f9df0"
"""Of the lock of that plugin."""

OTHER_JOB = replace(
    Identity(), identity="https://github.com/acme/shop/.github/workflows/test.yml@refs/heads/main"
)

OLD = ("--use-signing-config=false", "--new-bundle-format=false")
"""Options for the format that cosign wrote before version 3."""

UNLOGGED = "--tlog-upload=false"


@dataclass(frozen=True)
class Cosign:
    """The program, in a folder of its own with everything that it reads."""

    program: str
    folder: Path

    def run(self, *arguments: str) -> None:
        """Run a command.

        Raises:
            subprocess.CalledProcessError: it has failed.
        """
        home = {"HOME": str(self.folder), "COSIGN_PASSWORD": "", "PATH": os.environ["PATH"]}
        command = [self.program, *arguments]
        subprocess.run(command, cwd=self.folder, env=home, check=True, capture_output=True)

    def sign(self, name: str, *options: str) -> None:
        """Write the file ``name`` with a signature of the statement."""
        self.run("sign-blob", "--yes", "--bundle", f"{name}.sigstore.json", *options, STATEMENT)

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(document))


def statement_of_the_plugin() -> bytes:
    """Return the statement about the lock of ``alpha``."""
    subjects = {statement.LOCK_SUBJECT: LOCK_SHA256}
    return statement.render(Statement("shop", 1, int(WHEN.timestamp()), None, subjects))


def make(program: str, folder: Path) -> None:
    """Write the statement, a key, a trusted root, and a signature of each kind into a folder."""
    cosign, timestamps = Cosign(program, folder), make_timestamp_authority(folder)
    private = PrivateSigstore(timestamp_chain=timestamps.chain)
    (folder / STATEMENT).write_bytes(statement_of_the_plugin())
    private.write_trusted_root(folder / ROOT)
    (folder / "token").write_text(token())
    cosign.run("generate-key-pair", "--output-key-prefix", "key")
    with served(private, when=WHEN) as address:
        config: dict[str, Any] = config_of(private, address)["signingConfig"]
        cosign.write("config.json", config)
        for name in ("rekorTlogUrls", "rekorTlogConfig"):
            del config[name]
        cosign.write("unlogged.json", config)
        _sign(cosign, address)
    with served(private) as address:  # in no log, a certificate counts at the present time alone
        config["caUrls"][0]["url"] = address
        cosign.write("now.json", config)
        cosign.sign("job-unlogged", "--signing-config=now.json", *JOB)
    with served(private, timestamps=timestamps) as address:
        cosign.write("log-2.json", config_of(private, address, log=2)["signingConfig"])
        cosign.sign("job-log-2", "--signing-config=log-2.json", *JOB)
    with served(private, OTHER_JOB, when=WHEN) as address:
        cosign.write("other.json", config_of(private, address)["signingConfig"])
        cosign.sign("other-job", "--signing-config=other.json", *JOB)


JOB = ("--identity-token=token", f"--trusted-root={ROOT}")
BARE_KEY = ("--key=key.key", f"--trusted-root={ROOT}")


def _sign(cosign: Cosign, address: str) -> None:
    logged, unlogged = "--signing-config=config.json", "--signing-config=unlogged.json"
    cosign.sign("job", logged, *JOB)
    cosign.sign("key", unlogged, *BARE_KEY)
    cosign.sign("key-logged", logged, *BARE_KEY)
    cosign.sign("old-key", *OLD, UNLOGGED, "--key=key.key")
    cosign.sign("old-key-logged", *OLD, f"--rekor-url={address}", "--key=key.key")
    fulcio = (f"--fulcio-url={address}", "--insecure-skip-verify", "--identity-token=token")
    cosign.sign("old-job", *OLD, UNLOGGED, *fulcio)
    cosign.run(
        *("attest-blob", "--yes", "--bundle", "attestation.sigstore.json", "--type=custom"),
        *(f"--predicate={STATEMENT}", logged, *JOB, STATEMENT),
    )


def main(target: Path) -> None:
    """Make the files again, and copy what is public into the folder ``target``."""
    program = shutil.which("cosign")
    if program is None:
        raise SystemExit("cosign is not on PATH")
    with tempfile.TemporaryDirectory() as scratch:
        make(program, Path(scratch))
        for path in Path(scratch).glob("*.sigstore.json"):
            (target / path.name).write_bytes(path.read_bytes())
        for name in (STATEMENT, ROOT, KEY):
            (target / name).write_bytes((Path(scratch) / name).read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
