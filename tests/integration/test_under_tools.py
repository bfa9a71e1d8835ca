"""An activated environment under the things that people run: each real tool, as it is installed.

Every program is run twice: with the locked plugin, where it must do its work, and with one byte
changed, where the refusal must reach the reader of the output and no line of the plugin may run.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import sysconfig
import zipapp
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fixtures.environments import Environment
from tests.fixtures.trees import Application, Outcome

USE = "import plugins.alpha.api as api\nprint('answer', api.answer())\n"


@pytest.fixture
def environment(tmp_path: Path, application: Application) -> Environment:
    """Activated, with the tools of the environment that runs the tests."""
    made = Environment(tmp_path / "env")
    (made.site / "tools.pth").write_text(sysconfig.get_path("purelib") + "\n")
    made.activate(application.root)
    return made


def flip(application: Application) -> None:
    path = application.plugin / "helper.py"
    path.write_bytes(path.read_bytes() + b"#")


def both(
    application: Application, environment: Environment, command: Sequence[str]
) -> tuple[Outcome, Outcome]:
    """Return the outcome with the locked plugin, and with a changed one, of which nothing ran."""
    full = [environment.python, *command]
    good = application.start(full)
    flip(application)
    bad = application.start(full)
    assert bad.executed == (), bad
    assert "integrity_mismatch" in bad.stdout + bad.stderr, bad
    return good, bad


def program(application: Application, name: str, text: str) -> str:
    (application.folder / name).write_text(text)
    return name


SIMPLE = {
    "a script": ["app.py"],
    "a script in isolated mode": ["-I", "-c", "import sys; sys.path.insert(0, '.'); import app"],
    "a module": ["-m", "app"],
    "a package": ["-m", "package"],
    "a folder": ["package"],
    "a command": ["-c", USE],
    "runpy": ["-c", "import runpy; runpy.run_path('app.py')"],
    "coverage": ["-m", "coverage", "run", "--data-file=none", "app.py"],
    "cProfile": ["-m", "cProfile", "-s", "ncalls", "app.py"],
    "trace": ["-m", "trace", "--count", "--summary", "--coverdir=x", "app.py"],
    "the frozen modules off": ["-X", "frozen_modules=off", "app.py"],
    "warnings as errors": ["-X", "dev", "-W", "error", "app.py"],
}


@pytest.mark.parametrize("command", SIMPLE.values(), ids=SIMPLE.keys())
def test_programs(application: Application, environment: Environment, command: list[str]) -> None:
    program(application, "app.py", USE)
    (application.folder / "package").mkdir()
    folder = "import os, sys; sys.path.insert(1, os.getcwd())\n"
    program(application, "package/__main__.py", folder + USE)
    good, bad = both(application, environment, command)
    assert "answer 42" in good.stdout, good
    assert (good.status, bad.status) == (0, 1)


def test_a_zipapp(application: Application, environment: Environment) -> None:
    source = application.folder / "source"
    source.mkdir()
    (source / "__main__.py").write_text("import sys; sys.path.insert(1, '.')\n" + USE)
    zipapp.create_archive(source, application.folder / "app.pyz")
    good, bad = both(application, environment, ["app.pyz"])
    assert (good.status, good.stdout, bad.status) == (0, "answer 42\n", 1), good


TEST = """
import pytest
import plugins.alpha.api

def test_answer():
    assert plugins.alpha.api.answer() == 42, "rewritten"

def test_the_guard_is_there():
    import codegenie.plugins.guard as guard
    guard.require()
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_pytest(application: Application, environment: Environment, mode: str) -> None:
    """It puts its own finder first on ``sys.meta_path``, to rewrite assertions."""
    program(application, "test_app.py", TEST)
    command = ["-m", "pytest", "-p", "no:cacheprovider", f"--import-mode={mode}", "test_app.py"]
    good, bad = both(application, environment, command)
    assert (good.status, "2 passed" in good.stdout) == (0, True), good
    assert (bad.status, "1 error" in bad.stdout) == (2, True), bad


def test_coverage_measures_the_plugins(application: Application, environment: Environment) -> None:
    program(application, "app.py", USE)
    data = ["--data-file=.coverage"]
    run = [environment.python, "-m", "coverage", "run", *data, "--include=plugins/*", "app.py"]
    assert application.start(run).stdout == "answer 42\n"
    report = application.start([environment.python, "-m", "coverage", "report", *data])
    lines = {line.split()[0]: line.split()[-1] for line in report.stdout.splitlines()[2:4]}
    assert lines == {"plugins/alpha/api.py": "100%", "plugins/alpha/helper.py": "100%"}, report


WORKERS = """
import sys
import {module}
import plugins.alpha.api as api

def work(number):
    import codegenie.plugins.guard as guard
    guard.require()
    return number + api.answer()

if __name__ == "__main__":
    {start}
"""
POOLS = {
    "multiprocessing, spawn": (
        "multiprocessing",
        "with multiprocessing.get_context('spawn').Pool(2) as p: print(p.map(work, [1, 2]))",
    ),
    "multiprocessing, forkserver": (
        "multiprocessing",
        "with multiprocessing.get_context('forkserver').Pool(2) as p: print(p.map(work, [1, 2]))",
    ),
    "multiprocessing, fork": (
        "multiprocessing",
        "with multiprocessing.get_context('fork').Pool(2) as p: print(p.map(work, [1, 2]))",
    ),
    "concurrent.futures, processes": (
        "concurrent.futures",
        "with concurrent.futures.ProcessPoolExecutor(2) as p: print(list(p.map(work, [1, 2])))",
    ),
    "concurrent.futures, threads": (
        "concurrent.futures",
        "with concurrent.futures.ThreadPoolExecutor(2) as p: print(list(p.map(work, [1, 2])))",
    ),
}


@pytest.mark.parametrize(("module", "start"), POOLS.values(), ids=POOLS.keys())
def test_workers(
    application: Application, environment: Environment, module: str, start: str
) -> None:
    program(application, "app.py", WORKERS.format(module=module, start=start))
    good, bad = both(application, environment, ["app.py"])
    assert (good.status, good.stdout) == (0, "[43, 44]\n"), good
    assert bad.status == 1


def test_a_worker_that_imports_a_plugin_for_itself(
    application: Application, environment: Environment
) -> None:
    """The parent never imports it: the child's own start is what guards it."""
    program(
        application,
        "app.py",
        "import multiprocessing\n"
        "def work(number):\n    import plugins.alpha.api as api\n    return api.answer()\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as p:\n"
        "        print(p.apply(work, [1]))\n",
    )
    good, _ = both(application, environment, ["app.py"])
    assert good.stdout == "42\n", good


SUBINTERPRETER = """
try:
    import _interpreters
    run = _interpreters.exec
except ImportError:
    import _xxsubinterpreters as _interpreters
    run = _interpreters.run_string
interpreter = _interpreters.create()
failed = run(interpreter, '''
import sys
sys.path.insert(0, '.')
import codegenie.plugins.guard as guard
guard.require()
import plugins.alpha.api as api
print('answer', api.answer(), flush=True)
''')
print('failed' if failed else 'done', getattr(failed, 'formatted', failed))
"""


def test_a_sub_interpreter(application: Application, environment: Environment) -> None:
    """``site`` runs in each of them, and with it the activation."""
    program(application, "app.py", SUBINTERPRETER)
    good = application.start([environment.python, "app.py"])
    assert good.stdout.splitlines()[0] == "answer 42", good
    flip(application)
    bad = application.start([environment.python, "app.py"])
    assert bad.executed == ()
    assert "PluginImportRefused" in bad.stdout + bad.stderr, bad


WSGI = """
import codegenie.plugins.guard as guard
guard.require()
import plugins.alpha.api as api

def app(environ, start_response):
    import os, plugins.alpha.helper
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"answer {api.answer()} {os.getpid()}".encode()]
"""
CLIENT = """
import http.client, os, socket, subprocess, sys
path = os.path.join(os.getcwd(), "s")
server = subprocess.Popen(
    [sys.executable, "-m", "gunicorn", "--bind", f"unix:{path}", "--workers", "2", "--no-control-socket",
     *sys.argv[1:], "web:app"], stderr=subprocess.PIPE, text=True)
try:
    while True:  # until it answers, or has ended
        if server.poll() is not None:
            sys.exit(f"ended with status {server.returncode}: {server.stderr.read()}")
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(path)
            connection.request("GET", "/")
            print(connection.getresponse().read().decode())
            break
        except (OSError, http.client.HTTPException):
            pass
finally:
    server.terminate()
    server.wait()
"""


@pytest.mark.parametrize("options", [["--preload"], []], ids=["preload", "each worker"])
def test_gunicorn(application: Application, environment: Environment, options: list[str]) -> None:
    program(application, "web.py", WSGI)
    program(application, "client.py", CLIENT)
    good, bad = both(application, environment, ["client.py", *options])
    assert good.stdout.startswith("answer 42 "), good
    assert bad.status == 1
    assert "ended with status" in bad.stderr


def test_the_interactive_interpreter(application: Application, environment: Environment) -> None:
    """In a terminal, as a person types it."""

    def typed(lines: str) -> str:
        # Not pty.fork: a process with threads, as a test runner is, is warned of it.
        terminal, other_end = pty.openpty()
        variables = {"TERM": "dumb", "WITNESS": str(application.witness), "PATH": "/usr/bin"}
        process = subprocess.Popen(
            [environment.python, "-q"],
            cwd=application.folder,
            env=variables,
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            start_new_session=True,
        )
        os.close(other_end)
        os.write(terminal, f"{lines}\nexit()\n".encode())
        output = b""
        while True:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            output += chunk
        process.wait(60)
        os.close(terminal)
        return output.decode()

    question = "import plugins.alpha.api as api; 'the' + ' answer', api.answer()"
    assert "('the answer', 42)" in typed(question)
    flip(application)
    application.witness.unlink()
    said = typed(question)
    assert "PluginImportRefused" in said
    assert "helper.py" in said or "does not match the lock" in said
    assert not application.witness.exists()


def test_the_version_of_these_tools_is_the_pinned_one() -> None:
    """They come from the environment of the tests, not from wherever ``PATH`` leads."""
    import coverage
    import gunicorn

    for module in (coverage, gunicorn, pytest):
        assert str(module.__file__).startswith(sysconfig.get_path("purelib")), sys.path
