"""Several threads at once: what the guard keeps is whole, and nothing of the application is lost.

Each program runs with a switch interval of a microsecond, so that threads meet everywhere.
"""

from __future__ import annotations

import py_compile
import sys

import pytest

from tests.fixtures.trees import Application

PREAMBLE = """
import sys, threading
sys.setswitchinterval(1e-6)
failures = []
threading.excepthook = lambda arguments: failures.append(repr(arguments.exc_value))

def at_once(*functions):
    barrier = threading.Barrier(len(functions))
    def start(function):
        barrier.wait()
        function()
    threads = [threading.Thread(target=start, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def run(application: Application, script: str, *, guarded: bool = True) -> str:
    outcome = application.run(PREAMBLE + script, guarded=guarded)
    assert outcome.status == 0, outcome
    return outcome.stdout


def test_guard_is_installed_once_by_many_threads(application: Application) -> None:
    script = """
from codegenie._start import find_installed_guards
from codegenie._start.audit_hook import start
from codegenie._start.finder import GuardFinder, is_at_front
folder = {"root": "/x", "lock": "/x/PLUGINS.lock", "package": "plugins", "others": "refuse"}
settings = {"folders": [folder], "scope": "all", "mode": "enforce", "on_refusal": "raise"}
at_once(*[lambda: start(settings)] * 24)
finders = [finder for finder in sys.meta_path if type(finder) is GuardFinder]
print(len(find_installed_guards()), len(finders), is_at_front(finders[0]), failures)
"""
    for _ in range(5):
        assert run(application, script, guarded=False) == "1 1 True []\n"


def test_guard_that_is_displaced_by_many_threads_is_there_once(application: Application) -> None:
    """``sys.meta_path`` is emptied and filled again while the guard is put back."""
    out = run(
        application,
        """
from codegenie._start.finder import installed, is_at_front, move_to_front
guard = installed()
others = [finder for finder in sys.meta_path if finder is not guard]
done = threading.Event()

def displace():
    while not done.is_set():
        sys.meta_path.clear()
        sys.meta_path.extend(others)

def put_back():
    try:
        for _ in range(20000):
            is_at_front(guard)
            move_to_front(guard)
    finally:
        done.set()

at_once(displace, put_back)
move_to_front(guard)
print(sys.meta_path[0] is guard, failures)
""",
    )
    assert out == "True []\n"


def test_finders_that_come_and_go_while_the_guard_is_put_back_are_not_lost(
    application: Application,
) -> None:
    out = run(
        application,
        """
from codegenie._start.finder import installed, move_to_front
guard = installed()
done = threading.Event()

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None

def come_and_go():
    while not done.is_set():
        finder = Finder()
        sys.meta_path.insert(0, finder)
        sys.meta_path.remove(finder)  # ValueError if it was taken off

def put_back():
    try:
        for _ in range(20000):
            move_to_front(guard)
    finally:
        done.set()

at_once(come_and_go, put_back)
move_to_front(guard)
names = [type(finder).__name__ for finder in sys.meta_path]
print(names[0], names.count("GuardFinder"), names.count("Finder"), failures)
""",
    )
    assert out == "GuardFinder 1 0 []\n"


def test_set_up_that_threads_ask_for_at_once_is_one_of_them(application: Application) -> None:
    (application.folder / "other").mkdir()
    other = Application(application.folder / "other")
    script = f"""
import codegenie.plugins.guard as guard
pairs = [({str(application.root)!r}, {str(application.lock_path)!r}),
         ({str(other.root)!r}, {str(other.lock_path)!r})]
refused = []

def ask(root, lock):
    for _ in range(50):
        try:
            guard.install(root=root, lock=lock)
        except guard_settled:
            refused.append(root)

def use():
    import plugins.alpha.api

from codegenie.refusals.exceptions import GuardSettled as guard_settled
at_once(*[lambda pair=pair: ask(*pair) for pair in pairs * 4], use)
status = guard.status()
print((status.root, status.lock) in pairs, sys.modules["plugins.alpha"].__path__ == [status.root + "/alpha"],
      status.root in refused, failures)
"""
    for _ in range(5):
        assert run(application, script) == "True True False []\n"


IMPORT_BYTECODE = """
try:
    import without_source
    print('imported', flush=True)
except BaseException as error:
    print(error, flush=True)
"""

WHILE_A_LATE_MODULE_IS_LOADED = """
import os, sys, threading  # which generates code on some versions
import codegenie.plugins.guard; codegenie.plugins.guard.install()
sys.path.insert(0, 'bytecode')
started = []

def work():
    {work}

def hook(event, args):
    if event == 'open' and '_start' in str(args[0]) and 'checks' in str(args[0]) and not started:
        thread = threading.Thread(target=work)
        started.append(thread)
        thread.start()
        thread.join()

sys.addaudithook(hook)
exec(compile('pass', 'made_up', 'exec'))
assert started
"""


@pytest.mark.parametrize(
    "work",
    [
        "exec(IMPORT)",
        # The child has no thread that could end the loading.
        "os.fork() or [exec(IMPORT), os._exit(0)]; os.wait()",
    ],
    ids=["thread", "child"],
)
def test_bytecode_elsewhere_is_read_while_the_guard_loads_a_module(
    application: Application, work: str
) -> None:
    (application.folder / "bytecode").mkdir()
    source = application.folder / "without_source.py"
    source.write_text("VALUE = 1\n")
    py_compile.compile(str(source), str(application.folder / "bytecode" / "without_source.pyc"))
    source.unlink()
    script = f"IMPORT = {IMPORT_BYTECODE!r}\n" + WHILE_A_LATE_MODULE_IS_LOADED.format(work=work)
    outcome = application.run(script, guarded=False, flags=("-W", "ignore"))
    assert (outcome.status, outcome.stdout) == (0, "imported\n"), outcome


@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_status_is_available_while_plugins_are_verified(
    application: Application, scope: str
) -> None:
    for number in range(60):
        application.add_plugin(f"p{number}", {"api.py": ""})
    application.lock()
    out = run(
        application,
        f"""
import codegenie.plugins.guard as guard, importlib
guard.install(scope={scope!r})
done = threading.Event()

def verify():
    try:
        for number in range(60):
            importlib.import_module(f"plugins.p{{number}}.api")
    finally:
        done.set()

def ask():
    while not done.is_set():
        guard.status().as_dict()

at_once(verify, ask, ask)
print(len(guard.status().verified) >= 60, failures)
""",
    )
    assert out == "True []\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has memory that can be sealed")
def test_library_that_threads_load_at_once_is_sealed_once(application: Application) -> None:
    script = """
import os
from codegenie._enforce import private_copies
paths = []
at_once(*[lambda: paths.append(private_copies.seal("/x/library.so", b"digest", bytes(100000)))] * 16)
sealed = [fd for fd in os.listdir("/proc/self/fd")
          if os.path.islink(f"/proc/self/fd/{fd}") and "memfd:" in os.readlink(f"/proc/self/fd/{fd}")]
print(len(set(paths)), len(sealed), failures)
"""
    for _ in range(5):
        assert run(application, script) == "1 1 []\n"
