"""``plugins sign --sigstore`` against a private Sigstore that listens on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegenie.trust import library_process
from codegenie.trust.policy import Signer
from tests.fixtures.private_sigstore import Identity, PrivateSigstore
from tests.trust.services import config_of, served, token
from tests.trust.timestamps import OPENSSL, make_timestamp_authority


@pytest.fixture
def private() -> PrivateSigstore:
    return PrivateSigstore()


@pytest.fixture
def address(private: PrivateSigstore) -> Iterator[str]:
    with served(private) as at:
        yield at


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


@pytest.mark.skipif(OPENSSL is None, reason="this machine has no openssl, which signs timestamps")
def test_job_signs_for_a_log_of_version_2(tmp_path: Path) -> None:
    """Take the time from a timestamp authority: such a log gives none."""
    timestamps = make_timestamp_authority(tmp_path)
    private = PrivateSigstore(timestamp_chain=timestamps.chain)
    root = private.write_trusted_root(tmp_path / "trusted_root.json")
    plugin = tmp_path / "plugins" / "alpha"
    plugin.mkdir(parents=True)
    (plugin / "api.py").write_text("ANSWER = 42\n")
    assert codegenie(tmp_path, "plugins", "lock").returncode == 0
    sign = ("plugins", "sign", "--as", "ci", "--sigstore", "--application", "shop")
    job = {"SIGSTORE_ID_TOKEN": token(), "GITLAB_CI": "true"}
    with served(private, timestamps=timestamps) as address:
        (tmp_path / "config.json").write_text(json.dumps(config_of(private, address, log=2)))
        done = codegenie(tmp_path, *sign, "--sigstore-config", "config.json", **job)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "plugins" / "PLUGINS.signatures" / "ci.sigstore.json"
    (entry,) = json.loads(made.read_text())["verificationMaterial"]["tlogEntries"]
    assert entry["kindVersion"]["version"] == "0.0.2"
    _check_by_the_command_line(tmp_path, root)


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
