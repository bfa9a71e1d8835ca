"""The hooks, as pre-commit installs and runs them on a commit.

One environment is installed for the whole module, from a repository that holds this package as it
is, which takes longer than all the commits together.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import Application
from tests.static.sources import REPOSITORY

PRE_COMMIT = [sys.executable, "-m", "pre_commit"]


class Project:
    """An application under version control whose commits go through a hook."""

    def __init__(self, application: Application, home: Path, hooks: Path, revision: str) -> None:
        self.application = application
        self.home = home
        self.hooks = hooks
        self.revision = revision
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return git(self.application.folder, *arguments, home=self.home)

    def configure(self, hook: str, *options: str) -> None:
        lines = [
            f"repos:\n  - repo: {self.hooks}\n    rev: {self.revision}\n    hooks:\n",
            f"      - id: {hook}\n",
            *(f"        {option}\n" for option in options),
        ]
        (self.application.folder / ".pre-commit-config.yaml").write_text("".join(lines))

    def pre_commit(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [*PRE_COMMIT, *arguments]
        return run(command, self.application.folder, home=self.home, variables=variables)

    def commit(self, *paths: str) -> subprocess.CompletedProcess[str]:
        """Commit these paths, or all; what git and the hook say is on standard error."""
        self.git("add", "-A", *paths)
        return self.git("commit", "-q", "-m", "x")


def run(
    command: list[str], folder: Path, *, home: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in clean_environment().items() if not k.startswith("GIT_")}
    return subprocess.run(
        command,
        cwd=folder,
        env={
            **inherited,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PRE_COMMIT_HOME": str(home),
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def git(folder: Path, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.invalid"]
    return run(["git", *who, *arguments], folder, home=home)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """Return a repository that pre-commit can clone, its revision, and a home for pre-commit."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("hooks")
    for name in ("pyproject.toml", "README.md", ".pre-commit-hooks.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs" / "rejections.md", folder / "docs")  # a file of the wheel
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=ignore)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        done = git(folder, *arguments, home=home)
        assert done.returncode == 0, done
    return folder, git(folder, "rev-parse", "HEAD", home=home).stdout.strip(), home


@pytest.fixture
def project(application: Application, hooks: tuple[Path, str, Path]) -> Project:
    folder, revision, home = hooks
    return Project(application, home, folder, revision)


def codegenie_lock(application: Application, root: str = "plugins") -> None:
    command = [sys.executable, "-P", "-m", "codegenie", "plugins", "lock", root]
    assert application.start(command).status == 0


def test_the_manifest_is_valid(hooks: tuple[Path, str, Path]) -> None:
    command = [*PRE_COMMIT, "validate-manifest", ".pre-commit-hooks.yaml"]
    done = run(command, REPOSITORY, home=hooks[2])
    assert done.returncode == 0, done


def test_a_commit_whose_lock_is_not_up_to_date(project: Project) -> None:
    application = project.application
    codegenie_lock(application)
    project.configure("codegenie-lock-check")
    installed = project.pre_commit("install")
    assert installed.returncode == 0, installed
    done = project.commit()
    assert done.returncode == 0, done
    assert "plugins match PLUGINS.lock" in done.stderr

    # A changed file, and a file that is gone, which pre-commit has no files to run a hook for.
    (application.plugin / "helper.py").write_text("VALUE = 43\n")
    done = project.commit()
    assert (done.returncode, "is not up to date" in done.stderr) == (1, True), done
    project.git("reset", "-q", "--hard")
    (application.plugin / "helper.py").unlink()
    done = project.commit()
    assert (done.returncode, "is not up to date" in done.stderr) == (1, True), done

    # Locked, but the lock is not part of the commit; then it is.
    codegenie_lock(application)
    done = project.git("commit", "-q", "-m", "x")
    assert (done.returncode, "is not up to date" in done.stderr) == (1, True), done
    done = project.commit()
    assert done.returncode == 0, done


def test_a_hook_that_writes_the_lock(project: Project) -> None:
    application = project.application
    application.root.rename(application.folder / "other")
    codegenie_lock(application, "other")
    project.configure("codegenie-lock", "args: [other]")
    project.pre_commit("install")
    done = project.commit()
    assert done.returncode == 0, done

    (application.folder / "other" / "alpha" / "helper.py").write_text("VALUE = 43\n")
    done = project.commit()
    assert (done.returncode, "files were modified by this hook" in done.stderr) == (1, True), done
    assert "M other/PLUGINS.lock" in project.git("status", "--short").stdout
    done = project.commit()
    assert done.returncode == 0, done


def test_no_module_of_the_repository_runs(project: Project) -> None:
    """Developers have PYTHONPATH set to a folder of the repository, into which others commit."""
    application = project.application
    codegenie_lock(application)
    project.configure("codegenie-lock-check")
    project.git("add", "-A")
    arguments = ("run", "--all-files", "-v")
    done = project.pre_commit(*arguments)
    assert done.returncode == 0, done
    canary = application.folder / "canary"
    # pre-commit itself runs what is on PYTHONPATH; the hook must not.
    for name in ("sitecustomize.py", "pydantic.py", "codegenie.py"):
        added = application.folder / "src" / name
        added.parent.mkdir(exist_ok=True)
        added.write_text(
            "import sys\n"
            "if any('codegenie' in word for word in sys.orig_argv):\n"
            f"    open({str(canary)!r}, 'w').close()\n"
        )
    done = project.pre_commit(*arguments, PYTHONPATH=str(application.folder / "src"))
    assert done.returncode == 0, done
    assert not canary.exists()
