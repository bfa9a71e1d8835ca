"""Two branches that both lock, merged by git itself."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.authoring import locking
from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import MANIFEST, Application

DRIVER = f"{shlex.quote(sys.executable)} -P -m codegenie plugins merge-lock %O %A %B %P"


class Repository:
    """A repository with plugins in it, where two branches go apart and are merged."""

    def __init__(self, folder: Path, *, driver: bool = True) -> None:
        self.folder = folder
        self.root = folder / "plugins"
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        if driver:
            self.git("config", "merge.codegenie-lock.driver", DRIVER)
        attributes = "plugins/PLUGINS.* merge=codegenie-lock\n"
        (folder / ".gitattributes").write_text(attributes)
        self.plugin("hello", "VALUE = 1\n")
        self.plugin("world", "VALUE = 1\n")
        self.lock()
        self.commit()

    def git(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.invalid", *arguments],
            cwd=self.folder,
            # No configuration but the repository's own.
            env={
                **clean_environment(),
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done
        return done.stdout + done.stderr

    def plugin(self, name: str, api: str) -> None:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugin.yaml").write_text(MANIFEST.format(name=name))
        (folder / "api.py").write_text(api)

    def remove(self, name: str) -> None:
        self.git("rm", "-rq", f"plugins/{name}")

    def lock(self) -> None:
        proposal = locking.propose(str(self.root))
        assert locking.write_proposal(proposal, str(self.root / "PLUGINS.lock")) is None

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def merge(self, ours: Callable[[], None], theirs: Callable[[], None], *, status: int) -> str:
        """Do one thing on the main branch, another on a second one, and merge that."""
        self.git("branch", "other")
        ours()
        self.commit()
        self.git("checkout", "-q", "other")
        theirs()
        self.commit()
        self.git("checkout", "-q", "main")
        return self.git("merge", "--no-edit", "other", status=status)

    def locked(self, *names: str, api: str = "VALUE = 2\n") -> Callable[[], None]:
        def change() -> None:
            for name in names:
                self.plugin(name, api)
            self.lock()

        return change

    def drift(self) -> locking.Change:
        """Return the parts that ``lock --check`` compares."""
        return locking.compare(locking.propose(str(self.root)), str(self.root / "PLUGINS.lock"))

    def entries(self) -> set[str]:
        return set(json.loads((self.root / "PLUGINS.lock").read_text()))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_two_plugins_added_side_by_side(tmp_path: Path, repository: Repository) -> None:
    """Their lines are neighbours in the lock, which no merge by lines takes apart."""
    plain = Repository(tmp_path / "plain", driver=False)
    said = plain.merge(plain.locked("one"), plain.locked("two"), status=1)
    assert "CONFLICT (content): Merge conflict in plugins/PLUGINS.lock" in said

    repository.merge(repository.locked("one"), repository.locked("two"), status=0)
    assert repository.entries() == {"hello", "one", "two", "world"}
    assert not repository.drift()  # the lock and the sidecar, to the byte


def test_a_change_a_removal_and_an_addition(repository: Repository) -> None:
    def ours() -> None:
        repository.remove("hello")
        repository.lock()

    repository.merge(ours, repository.locked("world", "again"), status=0)
    assert repository.entries() == {"again", "world"}
    assert not repository.drift()


def test_one_plugin_changed_on_both_sides(repository: Repository) -> None:
    """Even where git merges its files without a conflict: the result is not locked."""
    path = repository.root / "hello" / "api.py"
    path.write_text("A = 1\n\n\n\n\n\n\nB = 1\n")
    repository.lock()
    repository.commit()

    said = repository.merge(
        repository.locked("hello", api="A = 2\n\n\n\n\n\n\nB = 1\n"),
        repository.locked("hello", api="A = 1\n\n\n\n\n\n\nB = 2\n"),
        status=1,
    )
    assert path.read_text() == "A = 2\n\n\n\n\n\n\nB = 2\n"
    for name in ("PLUGINS.lock", "PLUGINS.sha256"):
        assert f"plugins/{name}: plugin 'hello' was changed on both sides, differently" in said
    assert "codegenie plugins lock plugins" in said
    unmerged = repository.git("diff", "--name-only", "--diff-filter=U").split()
    assert unmerged == ["plugins/PLUGINS.lock", "plugins/PLUGINS.sha256"]

    # Until a person decides, nothing is imported.
    script = "import codegenie.plugins.guard, plugins.world.api"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository.folder, capture_output=True, text=True
    )
    assert "[lock_file_malformed]" in done.stderr, done

    repository.lock()
    repository.commit()
    assert not repository.drift()


def test_changed_on_one_side_and_removed_on_the_other(repository: Repository) -> None:
    def theirs() -> None:
        repository.remove("hello")
        repository.lock()

    said = repository.merge(repository.locked("hello"), theirs, status=1)
    assert "plugin 'hello' was changed on one side and removed on the other" in said
    assert "<<<<<<< ours" in (repository.root / "PLUGINS.lock").read_text()


def test_what_was_merged_has_to_be_checked(repository: Repository) -> None:
    """One branch has not locked its change of a plugin: the merged lock pins the other's tree."""

    def theirs() -> None:
        (repository.root / "hello" / "new.py").write_text("")

    repository.merge(repository.locked("hello"), theirs, status=0)
    assert repository.drift().changed == ("hello",)


def test_the_lock_came_into_being_on_both_sides(repository: Repository) -> None:
    """git has no common ancestor of the file then, and hands over an empty one."""
    repository.git("rm", "-q", "plugins/PLUGINS.lock", "plugins/PLUGINS.sha256")
    repository.commit()
    repository.merge(repository.locked("one"), repository.locked("two"), status=0)
    assert repository.entries() == {"hello", "one", "two", "world"}
    assert not repository.drift()


def test_as_a_command(application: Application) -> None:
    folder = application.folder
    (folder / "base").touch()
    (folder / "theirs").write_bytes(b"{}")
    command = [*shlex.split(DRIVER)[:-4], "base", "plugins/PLUGINS.lock", "theirs", "PLUGINS.lock"]
    done = application.start([*command, "--json"])
    assert (done.status, done.stderr) == (0, ""), done
    assert json.loads(done.stdout) == {
        "path": "PLUGINS.lock",
        "merged": True,
        "conflicts": {},
        "problem": None,
    }
    assert set(json.loads(application.lock_path.read_bytes())) == {"alpha"}

    (folder / "theirs").write_text("[]")
    done = application.start([*command, "--json"])
    assert done.status == 1, done
    assert json.loads(done.stdout)["problem"].startswith("theirs is not a lock: ")
    assert application.lock_path.read_text().startswith("<<<<<<< ours\n{\n")
