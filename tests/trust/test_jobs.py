"""The jobs of ``docs/howto/sign.md`` sign as the page prints them, and its policy accepts them.

Each command of a job runs in the shell of its service, with the variables that the service sets.
The last command gets the address of a private Sigstore as well. Not run here: the command that
installs codegenie, because the environment of the tests has it.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import blocks_of
from tests.fixtures.private_sigstore import Identity, PrivateSigstore
from tests.static.sources import REPOSITORY
from tests.trust.services import config_of, served, token, tokens_of_github

PAGE = (REPOSITORY / "docs" / "howto" / "sign.md").read_text()
GITHUB, GITLAB = [yaml.safe_load(block.text) for block in blocks_of(PAGE) if block.kind == "yaml"]
POLICY, CHECK = [
    next(block.text for block in blocks_of(PAGE) if block.text.startswith(command))
    for command in ("codegenie trust add", "codegenie trust check")
]

INSTALLING = "pip install --require-hashes -r requirements.txt"


@dataclasses.dataclass(frozen=True)
class Job:
    """A job: its identity, its commands, and the shell that runs them."""

    identity: Identity
    commands: list[str]
    shell: tuple[str, ...]


ON_GITHUB = Job(
    Identity(),
    [step["run"] for step in GITHUB["jobs"]["sign"]["steps"] if "run" in step],
    ("bash", "-e"),
)
ON_GITLAB = Job(
    Identity(
        identity="https://gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
        issuer="https://gitlab.com",
        source_repository="https://gitlab.com/acme/shop",
    ),
    GITLAB["sign"]["script"],
    ("bash", "-eo", "pipefail"),
)


@contextmanager
def on_github(number: int) -> Iterator[dict[str, str]]:
    assert GITHUB["jobs"]["sign"]["permissions"]["id-token"] == "write"
    with tokens_of_github() as variables:
        yield {"GITHUB_ACTIONS": "true", "GITHUB_RUN_NUMBER": str(number), **variables}


@contextmanager
def on_gitlab(number: int) -> Iterator[dict[str, str]]:
    ((name, given),) = GITLAB["sign"]["id_tokens"].items()
    assert given == {"aud": "sigstore"}
    yield {"GITLAB_CI": "true", "CI_PIPELINE_IID": str(number), name: token()}


def run(
    command: str, folder: Path, variables: Mapping[str, str], shell: tuple[str, ...] = ("bash",)
) -> subprocess.CompletedProcess[str]:
    """Run a command of the page. ``python`` and ``codegenie`` are those of this test run."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "CI": "true",
        **variables,
    }
    return subprocess.run(
        [*shell, "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one locked plugin."""
    plugin = tmp_path / "plugins" / "alpha" / "api.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("ANSWER = 42\n")
    assert run("codegenie plugins lock", tmp_path, {}).returncode == 0
    return tmp_path


@pytest.mark.parametrize(
    ("job", "service"), [(ON_GITHUB, on_github), (ON_GITLAB, on_gitlab)], ids=["github", "gitlab"]
)
def test_job_signs_as_the_page_prints_it(job: Job, service: Any, checkout: Path) -> None:
    private = PrivateSigstore()
    private.write_trusted_root(checkout / "trusted_root.json")
    installing, *commands = job.commands
    assert installing == INSTALLING
    *others, signing = commands
    with served(private, job.identity) as address, service(41) as variables:
        (checkout / "config.json").write_text(json.dumps(config_of(private, address)))
        for command in (*others, f"{signing.rstrip()} --sigstore-config config.json"):
            done = run(command, checkout, variables, job.shell)
            assert done.returncode == 0, done.stderr
    statement = json.loads((checkout / "plugins" / "PLUGINS.statement.json").read_text())
    assert statement["predicate"]["sequence"] == 41
    assert "expires" in statement["predicate"]
    assert accepts(checkout, job.identity)
    assert not accepts(checkout, dataclasses.replace(job.identity, source_ref="refs/heads/x"))


def accepts(folder: Path, identity: Identity) -> bool:
    """Return True if a policy that is made by the commands of the page accepts the folder."""
    (folder / "trust.json").unlink(missing_ok=True)
    command = POLICY
    fields, shown = dataclasses.asdict(identity), dataclasses.asdict(Identity())
    for name in ("identity", "issuer", "source_repository", "source_ref"):
        option = f"--{name.replace('_', '-')} "
        assert option + shown[name] in command
        command = command.replace(option + shown[name], option + fields[name])
    assert run("codegenie trust init trust.json --application shop", folder, {}).returncode == 0
    added = run(command, folder, {})
    assert added.returncode == 0, added.stderr
    return run(CHECK.splitlines()[0], folder, {}).returncode == 0


@pytest.mark.parametrize("service", [on_github, on_gitlab])
def test_job_without_a_token_says_which_setting_is_missing(service: Any, checkout: Path) -> None:
    job = ON_GITHUB if service is on_github else ON_GITLAB
    with service(1) as variables:
        without = {name: text for name, text in variables.items() if "TOKEN" not in name}
    done = run(job.commands[-1], checkout, without, job.shell)
    assert done.returncode != 0
    assert "id-token: write on GitHub, SIGSTORE_ID_TOKEN on GitLab" in " ".join(done.stderr.split())
    assert not (checkout / "plugins" / "PLUGINS.statement.json").exists()
