"""Run commands in forks of one process, and let a system call of each fail, one after the other.

The process itself is started with ``fault.c`` preloaded, by ``start``.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EACCES, EDQUOT, EINTR, EIO, ENOSPC, EROFS, errorcode
from pathlib import Path
from typing import Any

import codegenie.authoring
import codegenie.cli.plugins
import codegenie.cli.trust

HERE = Path(__file__).parent
NUMBERS = (ENOSPC, EIO, EDQUOT, EROFS, EINTR, EACCES)
FAIL, KILL, SHORT = range(3)
TEMPORARY = ".tmp"

State = dict[str, bytes]


class Plan(ctypes.Structure):
    _fields_ = (
        ("owner", ctypes.c_int),
        ("at", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("number", ctypes.c_int),
        ("count", ctypes.c_int),
        ("call", ctypes.c_char * 32),
        ("calls", ctypes.c_char * 1024),
        ("under", ctypes.c_char * 4096),
    )
    at: int
    kind: int
    number: int
    count: int
    call: bytes
    calls: bytes
    under: bytes


@dataclass(frozen=True)
class Fault:
    """Call number ``at`` fails with ``number``, writes half, or is the last one of the process."""

    at: int
    kind: int
    number: int = 0

    def __str__(self) -> str:
        what = ("fails with " + errorcode.get(self.number, "?"), "is the last", "writes a half")
        return f"call {self.at} {what[self.kind]}"


@dataclass(frozen=True)
class Ended:
    status: int
    output: str


def compiler() -> str | None:
    """Return the C compiler, or None if there is none or this system has no ``LD_PRELOAD``."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


def start(folder: Path, name: str, *, every: bool) -> dict[str, int]:
    """Check one command in a new process. Returns the numbers of calls, faults and kills.

    Raises:
        AssertionError: a fault left a broken file, or was not reported.
    """
    library = folder / "fault.so"
    if not library.exists():
        command = [str(compiler()), "-shared", "-fPIC", "-O1", "-w", "-o"]
        subprocess.run([*command, str(library), str(HERE / "fault.c"), "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.endurance.faults", name, str(folder), str(int(every))],
        cwd=HERE.parent.parent,
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


# --- in the process that has the library --------------------------------------------------------


class Bench:
    """One command, the folder that it works in, and a copy of the folder as it was before."""

    def __init__(self, folder: Path, run: Callable[[], int]) -> None:
        library = ctypes.CDLL(None)
        library.fault_plan.restype = ctypes.POINTER(Plan)
        self.plan: Plan = library.fault_plan().contents
        self.folder = folder
        self.before = folder.with_name("before")
        self.said = folder.with_name("said")
        self.run = run
        folder.rename(self.before)

    def restore(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder, symlinks=True)

    def command(self, fault: Fault | None) -> Ended:
        """Run the command in a fork."""
        self.plan.at, self.plan.kind, self.plan.number = (
            (fault.at, fault.kind, fault.number) if fault else (0, 0, 0)
        )
        self.plan.count, self.plan.call = 0, b""
        child = os.fork()
        if not child:
            self._in_child()
        _, status = os.waitpid(child, 0)
        return Ended(os.waitstatus_to_exitcode(status), self.said.read_text())

    def _in_child(self) -> None:
        status = 70
        try:
            os.chdir(self.folder)
            said = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            self.plan.under = str(self.folder).encode() + b"/"
            status = self.run()
        except BaseException:
            traceback.print_exc()
        finally:
            self.plan.under = b""
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def state(self, *, temporary: bool = False) -> State:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and (path.suffix == TEMPORARY) == temporary
        }


def faults(calls: bytes, *, every: bool) -> Iterator[Fault]:
    """Yield a kill and a failure at each call; with ``every``, each failure at each call.

    ``calls`` are the first letters of the calls: w for ``write``.
    """
    for at, call in enumerate(calls, 1):
        yield Fault(at, KILL)
        if call == ord("w"):
            yield Fault(at, SHORT)
        for number in NUMBERS if every else (NUMBERS[at % len(NUMBERS)],):
            yield Fault(at, FAIL, number)


def check(bench: Bench, *, every: bool) -> dict[str, int]:
    bench.restore()
    old = bench.state()
    first = bench.command(None)
    calls, new = bench.plan.calls[: bench.plan.count], bench.state()
    assert first.status == 0, first
    assert calls
    assert new != old
    ran = 0
    for fault in faults(calls, every=every):
        bench.restore()
        ended = bench.command(fault)
        ran += 1
        said = f"{fault} ({bench.plan.call.decode()}): {ended}"
        judge(bench, fault, ended, old, new, said)
        if bench.state() == new:
            continue
        again = bench.command(None)
        assert again.status == 0, f"{said}\nthen {again}"
        assert bench.state() == new, f"{said}\nthen {again}: {sorted(bench.state())}"
    return {"calls": len(calls), "faults": ran - len(calls), "kills": len(calls)}


def judge(bench: Bench, fault: Fault, ended: Ended, old: State, new: State, said: str) -> None:
    now = bench.state()
    for path in sorted({*old, *new, *now}):
        assert now.get(path) in (old.get(path), new.get(path)), f"{said}: {path} is neither"
    if fault.kind == KILL:
        assert ended.status == -signal.SIGKILL, said
        return
    assert "Traceback" not in ended.output, said
    if bench.plan.call != b"unlink":
        assert not bench.state(temporary=True), f"{said}: {sorted(bench.state(temporary=True))}"
    if ended.status == 0:
        assert now == new, f"{said}: a success that did not write everything"
    else:
        assert fault.kind == FAIL, said
        assert ended.status in (1, 4), said
    if "nothing was written" in ended.output:
        assert now == old, said


# --- the commands -------------------------------------------------------------------------------


def command_line(*arguments: str) -> Callable[[], int]:
    def run() -> int:
        from codegenie.cli import main

        sys.argv = ["codegenie", *arguments]
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run


def sign() -> int:
    """Sign the lock at a fixed time, which is part of the statement."""
    import time

    time.time = lambda: 1_800_000_000.0
    options = ("--as", "alice", "--application", "shop", "--key", "key")
    return command_line("plugins", "sign", "plugins", *options)()


def install() -> int:
    """Write the activation files, as the last step of ``guard install`` does."""
    from codegenie.activation import files

    return _reported(lambda: files.write_plan(_plan()))


def uninstall() -> int:
    from codegenie.activation import files

    return _reported(lambda: files.remove(Path.cwd() / "site"))


def _plan() -> Any:
    from codegenie.activation import files

    site = Path.cwd() / "site"
    return files.plan(site, "/home", "2", {"mode": "enforce"}, sitecustomize=False)


def _reported(change: Callable[[], object]) -> int:
    try:
        change()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare(folder: Path, *, locked: bool) -> None:
    """Make an application whose lock, file list, packs and activation files are old ones."""
    from codegenie.activation import files
    from tests.fixtures.trees import Application

    folder.mkdir()
    application = Application(folder)
    application.add_plugin("beta")
    application.write_sidecar()
    if shutil.which("ssh-keygen"):
        for name in ("key", "other"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        signers = {"alice": {"ssh": (folder / "key.pub").read_text().strip()}}
        policy = {"application": "shop", "threshold": 1, "signers": signers, "expiry": "optional"}
        (folder / "trust.json").write_text(json.dumps(policy))
    site = folder / "site"
    site.mkdir()
    files.write_plan(files.plan(site, "/home", "1", {"mode": "audit"}, sitecustomize=True))
    (folder / "base").write_bytes(application.lock_path.read_bytes())
    (folder / "ours").write_bytes(application.lock_path.read_bytes())
    old = application.lock_path.read_bytes()
    application.lock()
    (folder / "theirs").write_bytes(application.lock_path.read_bytes())
    if not locked:
        application.lock_path.write_bytes(old)


NEED_KEYS = ("sign", "trust add")
"""The commands of which a test needs ``ssh-keygen``."""

COMMANDS: dict[str, Callable[[], int]] = {
    "lock": command_line("plugins", "lock", "plugins"),
    "lock one": command_line("plugins", "lock", "plugins", "beta"),
    "compile": command_line("plugins", "compile", "plugins"),
    "new": command_line("plugins", "new", "gamma", "plugins"),
    "merge-lock": command_line("plugins", "merge-lock", "base", "ours", "theirs", "PLUGINS.lock"),
    "sign": sign,
    "trust init": command_line("trust", "init", "new.json", "--application", "shop"),
    "trust add": command_line("trust", "add", "trust.json", "bob", "--ssh", "other.pub"),
    "install": install,
    "uninstall": uninstall,
}


def load_commands() -> None:
    """Load the modules of the commands once, before the forks."""
    for package in (codegenie.cli.plugins, codegenie.cli.trust, codegenie.authoring):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError:
                pass  # it needs an extra that is not installed


def main(name: str, folder: str, every: str) -> None:
    application = Path(folder, "application")
    prepare(application, locked=name in ("compile", "sign"))
    os.environ["NO_COLOR"] = "1"
    load_commands()
    print(json.dumps(check(Bench(application, COMMANDS[name]), every=bool(int(every)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
