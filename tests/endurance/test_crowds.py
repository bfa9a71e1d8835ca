"""Many commands and many starts at once: nothing is lost, nothing unverified runs, and each process
sees one state of the folder."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.endurance import Rounds
from tests.fixtures.trees import PATIENCE_SECONDS, Application, clean_environment, oracle
from tests.integration.test_cli_watch import Watcher

# Fork processes of one that has loaded the commands, run one in each, and count how they ended.
CROWD = """
import contextlib, io, json, os, sys, warnings
warnings.simplefilter("ignore")
import tests.endurance.faults as faults
faults.load_commands()

def begin(*arguments):
    child = os.fork()
    if not child:
        status = 70
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                status = faults.command_line(*arguments)()
            finally:
                os._exit(status)
    return child

def ended(children):
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
"""


def crowd(
    application: Application, script: str, before: str = "", timeout: int = PATIENCE_SECONDS
) -> list[int]:
    done = application.run(
        CROWD + before + textwrap.dedent(script),
        guarded=False,
        environment={"PYTHONPATH": str(Path(__file__).parent.parent.parent), "NO_COLOR": "1"},
        timeout=timeout,
    )
    assert done.status == 0, done
    statuses: list[int] = json.loads(done.stdout)
    return statuses


def test_fifty_locks_at_once_lose_nothing(application: Application) -> None:
    """Pin one plugin in each process. Without turns, most entries would be the old ones."""
    names = [f"p{number:02}" for number in range(50)]
    for name in names:
        application.add_plugin(name)
    application.lock()
    for name in names:
        application.write(f"{name}/helper.py", "VALUE = 43\n")
    statuses = crowd(
        application,
        f"""
        children = [begin("plugins", "lock", "plugins", name) for name in {names}]
        print(json.dumps(ended(children)))
        """,
    )
    assert statuses == [0] * 50
    wanted = {name: oracle(application.root / name) for name in ["alpha", *names]}
    assert json.loads(application.lock_path.read_text()) == wanted
    assert not list(application.root.rglob("*.tmp"))


def test_imports_beside_compile_and_lock_see_whole_files(
    application: Application, rounds: Rounds
) -> None:
    """Packs and locks are rewritten all the time, with the same content."""
    statuses = crowd(
        application,
        """
        writers = [begin("plugins", *command, "plugins") for command in (("lock",), ("compile",))]
        def imports():
            child = os.fork()
            if not child:
                status = 70
                try:
                    import codegenie.plugins.guard as guard
                    guard.install()
                    import plugins.alpha.api as api
                    status = 0 if api.answer() == 42 else 71
                finally:
                    os._exit(status)
            return child
        statuses = []
        for _ in rounds():
            readers = [imports() for _ in range(4)]
            more = [begin("plugins", "compile", "plugins"), begin("plugins", "lock", "plugins")]
            statuses += ended([*readers, *more])
        print(json.dumps(statuses + ended(writers)))
        """,
        before=rounds.in_script(10),
        timeout=rounds.patience,
    )
    assert Counter(statuses) == {0: len(statuses)}
    assert len(statuses) >= 10 * 6 + 2
    rounds.figures["processes"] = len(statuses)


def test_watch_beside_lock_sees_whole_locks(application: Application, rounds: Rounds) -> None:
    """Change a file and lock it by several processes at once. Every verdict is about one lock."""
    kinds: Counter[str] = Counter()
    lock = [sys.executable, "-m", "codegenie", "plugins", "lock"]

    def is_locked(document: Any) -> bool:
        kinds.update(found["kind"] for found in document["rejections"])
        digests = [found["digest"] for found in document["verified"]]
        return not document["rejections"] and digests == [oracle(application.plugin)]

    watcher = Watcher(application.folder)
    try:
        watcher.wait_for(is_locked)
        for turn in rounds.run(2):
            application.write("alpha/helper.py", f"VALUE = {turn}\n")
            started = [
                subprocess.Popen(
                    lock,
                    cwd=application.folder,
                    env=clean_environment(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                for _ in range(2)
            ]
            assert [process.wait() for process in started] == [0, 0]
            watcher.wait_for(is_locked)
    finally:
        watcher.end()
    rounds.figures.update({"rounds": turn + 1, **kinds})
    assert kinds.keys() <= {"integrity_mismatch"}


# Exchange the folder by rename while processes start on it. Each imports two plugins and says what
# it saw; a refusal is right if the folder changed under it.
STARTS = """
import os, sys
released = os.pipe()
children = []
for number in range(64):
    child = os.fork()
    if not child:
        os.close(released[1])
        os.read(released[0], 1)  # end of file: all start at once
        said = b"?"
        try:
            import codegenie.plugins.guard as guard
            guard.install()
            from codegenie.refusals.exceptions import PluginImportRefused
            try:
                import plugins.alpha.api as alpha, plugins.beta.api as beta
                seen = (alpha.VALUE, alpha.helper.VALUE, beta.VALUE, beta.helper.VALUE)
                said = str(seen[0] if len(set(seen)) == 1 else seen).encode()
            except PluginImportRefused:
                said = b"refused"
        except BaseException as error:
            said = repr(error).encode()[:200]
        finally:
            os.write(1, said + b"\\n")
            os._exit(0)
    children.append(child)
for end in released:
    os.close(end)
for child in children:
    os.waitpid(child, 0)
"""


def exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step. Returns False where the kernel cannot."""
    both = (os.fsencode(first), os.fsencode(second))
    here, in_one_step = -100, 2
    renamed = ctypes.CDLL(None).renameat2(here, both[0], here, both[1], in_one_step)
    return bool(renamed == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_processes_on_an_exchanged_folder_see_one_state(
    application: Application, rounds: Rounds
) -> None:
    """Two locked states, and one that is not what its lock says, take turns under one name."""
    states: list[Path] = []
    for value in (1, 2, 3):
        application.add_plugin("beta")
        for plugin in ("alpha", "beta"):
            application.write(f"{plugin}/api.py", f"from . import helper\nVALUE = {value}\n")
            application.write(f"{plugin}/helper.py", f"VALUE = {value}\n")
        application.lock()
        if value == 3:  # never locked
            application.write("PLUGINS.lock", (states[0] / "PLUGINS.lock").read_bytes())
        states.append(application.folder / f"state{value}")
        application.root.rename(states[-1])
        application.root.mkdir()
    application.root.rmdir()
    states[0].rename(application.root)
    seen: Counter[str] = Counter()
    for _ in rounds.run(2):
        seen += starts_while_exchanged(application, states[1:])
    rounds.figures.update(seen)
    assert seen.keys() <= {"1", "2", "refused"}
    assert sum(seen.values()) % 64 == 0


def starts_while_exchanged(application: Application, others: list[Path]) -> Counter[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", STARTS],
        cwd=application.folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    turn = 0
    while started.poll() is None or turn < 1000:
        if not exchange(application.root, others[turn % len(others)]):
            pytest.skip("this file system cannot exchange folders")
        turn += 1
    assert started.stdout is not None
    with started:
        return Counter(started.stdout.read().split("\n")[:-1])
