"""``codegenie plugins verify --watch``: one document per verification, and no other output.

Every step waits for the document that only it can bring about.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import Application, oracle

SECONDS = 60
"""The limit for one document. Nothing waits that long unless something is broken."""


COMMAND = ["-X", "dev", "-W", "error", "-m", "codegenie", "plugins", "verify", "--watch", "--json"]


class Watcher:
    """A running ``verify --watch --json``."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *COMMAND, *arguments],
            cwd=folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts tests in the background with SIGINT ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.errors: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=_read_all, args=(self.process.stdout, self.lines.put)),
            threading.Thread(target=_read_all, args=(self.process.stderr, self.errors.append)),
        ]
        for reader in self._readers:
            reader.start()

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C: the status, and all that was said on standard error."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # `-X dev` prints where each thread is
            self.process.wait(SECONDS)
            self.end()
            pytest.fail("".join(self.errors))
        self.end()
        return status, "".join(self.errors)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def wait_for(self, wanted: Callable[[Any], bool]) -> None:
        """Read documents until one of them is as it is wanted."""
        seen: list[Any] = []
        while True:
            try:
                document = json.loads(self.lines.get(timeout=SECONDS))
            except queue.Empty:
                pytest.fail(f"not among {seen}\n{''.join(self.errors)}")
            if wanted(document):
                return
            seen.append(document)

    def wait_for_all_well(self, *plugins: str) -> None:
        self.wait_for(
            lambda d: not d["rejections"] and [v["plugin"] for v in d["verified"]] == [*plugins]
        )

    def wait_for_rejection(self, kind: str, **evidence: str) -> None:
        self.wait_for(lambda d: any({**r, "kind": kind, **evidence} == r for r in d["rejections"]))


def _read_all(stream: IO[str], keep: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            keep(line)


@pytest.fixture
def watch(application: Application) -> Iterator[Callable[..., Watcher]]:
    started: list[Watcher] = []

    def start(*arguments: str) -> Watcher:
        started.append(Watcher(application.folder, *arguments))
        return started[-1]

    yield start
    for watcher in started:
        watcher.end()


def test_it_tells_of_each_change_until_it_is_interrupted(
    application: Application, watch: Callable[..., Watcher]
) -> None:
    watcher = watch()
    watcher.wait_for_all_well("alpha")

    application.write("alpha/helper.py", "changed")
    watcher.wait_for_rejection("integrity_mismatch", actual=oracle(application.plugin))
    application.lock()
    watcher.wait_for_all_well("alpha")

    # A new folder is watched as well, and a lock that is half-written is not the end.
    application.add_plugin("beta")
    watcher.wait_for_rejection("unlocked_plugin", plugin="beta")
    application.lock_path.write_text('{"alpha":')
    watcher.wait_for_rejection("lock_file_malformed")
    application.lock()
    watcher.wait_for_all_well("alpha", "beta")

    status, said = watcher.interrupt()
    assert status == 130
    assert "changed: alpha/helper.py\n" in said
    assert "changed: PLUGINS.lock\n" in said
    assert "Traceback" not in said
    assert said.endswith("stopped watching\n")


def test_it_survives_a_folder_that_goes_and_comes_back(
    application: Application, watch: Callable[..., Watcher]
) -> None:
    watcher = watch()
    watcher.wait_for_all_well("alpha")

    aside = application.folder / "aside"
    application.root.rename(aside)
    watcher.wait_for_rejection("lock_file_malformed")
    aside.rename(application.root)
    watcher.wait_for_all_well("alpha")

    # Replaced by another folder, at once: the new one is watched from now on.
    copy = shutil.copytree(application.root, application.folder / "copy")
    (copy / "alpha" / "helper.py").write_text("changed")
    application.root.rename(aside)
    copy.rename(application.root)
    watcher.wait_for_rejection("integrity_mismatch", actual=oracle(application.plugin))
    shutil.copy(aside / "alpha" / "helper.py", application.plugin / "helper.py")
    watcher.wait_for_all_well("alpha")

    # Removed file by file, and made again.
    shutil.rmtree(application.root)
    watcher.wait_for_rejection("lock_file_malformed")
    shutil.copytree(aside, application.root)
    watcher.wait_for_all_well("alpha")
    assert watcher.process.poll() is None


def test_it_survives_files_that_vanish_while_they_are_read(
    application: Application, watch: Callable[..., Watcher]
) -> None:
    watcher = watch()
    watcher.wait_for_all_well("alpha")
    for number in range(1000):
        path = application.write(f"alpha/{number % 7}/gone.py", "")
        path.unlink()
        path.parent.rmdir()
    application.write("alpha/helper.py", "the last change")
    watcher.wait_for_rejection("integrity_mismatch", actual=oracle(application.plugin))
    assert watcher.process.poll() is None


def test_a_lock_elsewhere_is_watched_as_well(
    application: Application, watch: Callable[..., Watcher]
) -> None:
    elsewhere = application.folder / "my.lock"
    shutil.copy(application.lock_path, elsewhere)
    watcher = watch("--lock", "my.lock")
    watcher.wait_for_all_well("alpha")
    elsewhere.write_text("{}")
    watcher.wait_for_rejection("unlocked_plugin", plugin="alpha")
    os.replace(application.lock_path, elsewhere)
    watcher.wait_for_all_well("alpha")


def test_without_watchfiles_it_says_what_to_install(application: Application) -> None:
    outcome = application.run(
        """
        import sys
        sys.modules["watchfiles"] = None
        sys.argv = ["codegenie", "plugins", "verify", "--watch"]
        from codegenie.cli import main
        main()
        """,
        guarded=False,
    )
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "pip install 'codegenie[watch]'" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_name_that_is_not_utf_8_does_not_end_it(
    application: Application, watch: Callable[..., Watcher]
) -> None:
    watcher = watch()
    watcher.wait_for_all_well("alpha")
    odd = os.fsencode(application.plugin) + b"/\xff"
    with open(odd, "wb"):
        pass
    watcher.wait_for(lambda document: bool(document["rejections"]))
    os.unlink(odd)
    watcher.wait_for_all_well("alpha")
