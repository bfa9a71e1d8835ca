"""Threads, forks and interpreters at once, with a switch of threads every microsecond."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.endurance import Rounds, times
from tests.fixtures.trees import Application

MODULES = 6
WATCHDOG = """
import faulthandler, signal
faulthandler.register(signal.SIGALRM, chain=True)
def limit(seconds):
    signal.alarm(seconds)
"""
"""``limit`` ends a process that hangs, and shows where. Not ``dump_traceback_later``, which a
forked process cannot call again: it waits for a thread of its parent."""


@pytest.fixture
def crowded(application: Application) -> Application:
    """Return an application with several plugins that import one another."""
    for number in range(MODULES):
        other = (number + 1) % MODULES
        application.add_plugin(
            f"p{number}",
            {
                "api.py": "from . import helper\ndef other():\n"
                f"    import plugins.p{other}.helper as module\n    return module.VALUE\n",
                "helper.py": "VALUE = 42\n",
            },
        )
    application.lock()
    return application


# The first import by 64 threads at once, in a fork each time: a process imports first only once.
THREADS = """
import importlib, os, sys, threading, warnings
warnings.simplefilter("ignore")
sys.setswitchinterval(1e-6)

def other(api):
    # CPython takes each new module out of sys.modules for a moment (_load_unlocked), so another
    # thread may find neither the module nor the name of it in its package.
    try:
        return api.other()
    except (ImportError, KeyError) as error:
        moment = "cannot import name 'p", "'plugins.p"
        if not str(error).startswith(moment):
            raise
        return api.other()

def import_everything(barrier, failed, turn):
    try:
        barrier.wait()
        for number in range(6):
            api = importlib.import_module(f"plugins.p{(number + turn) % 6}.api")
            assert other(api) == 42
            assert "plugins" in sys.modules
    except BaseException as error:
        failed.append(repr(error))

def run(threads):
    barrier, failed = threading.Barrier(threads), []
    started = [
        threading.Thread(target=import_everything, args=(barrier, failed, turn))
        for turn in range(threads)
    ]
    for thread in started:
        thread.start()
    return started, failed
"""


def test_64_threads_that_import_first_do_not_hang(crowded: Application, rounds: Rounds) -> None:
    script = """
for turn in rounds():
    child = os.fork()
    if not child:
        limit(120)
        started, failed = run(64)
        for thread in started:
            thread.join()
        print(failed or "", end="", flush=True)
        os._exit(bool(failed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(turn + 1)
"""
    run_rounds(crowded, rounds, 5, WATCHDOG + THREADS + script)


def run_rounds(application: Application, rounds: Rounds, at_least: int, script: str) -> None:
    """Run a script that calls ``rounds()``, and prints nothing but their number."""
    script = rounds.in_script(at_least) + script
    done = application.run(script, timeout=rounds.patience)
    assert done.status == 0, done.stderr  # a long text is shown whole, an object is not
    assert int(done.stdout) >= at_least, done
    rounds.figures["rounds"] = int(done.stdout)


def test_forks_beside_the_first_import_do_not_hang(crowded: Application, rounds: Rounds) -> None:
    """Fork while other threads import, and import another plugin in the child.

    CPython itself hangs if the child imports what a thread of the parent was importing: the lock of
    that module is never released. So the guard must hold no lock of its own for other plugins.
    """
    crowded.add_plugin("own", {"api.py": "VALUE = 42\n"})
    crowded.lock()
    script = """
def in_child():
    limit(120)
    assert importlib.import_module("plugins.own.api").VALUE == 42
    os._exit(0)

for turn in rounds():
    middle = os.fork()
    if not middle:
        limit(240)
        import plugins
        started, failed = run(8)
        children = []
        for _ in range(8):
            child = os.fork()
            if not child:
                in_child()
            children.append(child)
        for thread in started:
            thread.join()
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(failed or "", ends if any(ends) else "", sep="", end="", flush=True)
        os._exit(bool(failed or any(ends)))
    assert os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]) == 0
print(turn + 1)
"""
    run_rounds(crowded, rounds, 5, WATCHDOG + THREADS + script)


# Fork where this thread itself verifies the folder, or executes a module. Parent and child go on.
FORKS = """
import sys

def fork(event):
    if event not in forked:
        forked[event] = os.fork()
        if not forked[event]:
            forked.update(dict.fromkeys(forked, 0))  # the others are no children of this one

def hook(event, arguments):
    if event == "codegenie.plugins.verified":
        fork(event)

for turn in rounds():
    middle = os.fork()
    if not middle:
        limit(120)
        forked = {}
        sys.fork = fork
        sys.addaudithook(hook)
        import plugins.forking.api as api, plugins.p0.api
        assert (api.VALUE, plugins.p0.api.other()) == (42, 42)
        assert sorted(forked) == ["codegenie.plugins.verified", "module"]
        ends = [os.waitpid(child, 0)[1] for child in forked.values() if child]
        os._exit(any(ends))
    assert os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]) == 0
print(turn + 1)
"""


def test_a_fork_in_the_middle_of_the_first_import_works(
    crowded: Application, rounds: Rounds
) -> None:
    crowded.add_plugin("forking", {"api.py": "import sys\nsys.fork('module')\nVALUE = 42\n"})
    crowded.lock()
    run_rounds(crowded, rounds, 3, WATCHDOG + "import os\n" + FORKS)


INTERPRETERS = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"

# All interpreters exist at once, and four threads run them. Since 3.12 each has a lock of its own.
IN_INTERPRETERS = f"""
import os, threading, warnings
warnings.simplefilter("ignore")
import {INTERPRETERS} as interpreters
script = '''
import codegenie.plugins.guard as guard
guard.install(root="plugins")
import plugins.p0.api
assert plugins.p0.api.other() == 42
assert guard.status().verified
'''

def use(some, failed):
    for one in some:
        try:
            ended = interpreters.run_string(one, script)
        except BaseException as error:
            ended = error
        if ended is not None:
            failed.append(repr(ended))

def descriptors():
    return len(os.listdir("/dev/fd"))

before = descriptors()
for turn in rounds():
    made, failed = [interpreters.create() for _ in range(COUNT)], []
    threads = [threading.Thread(target=use, args=(made[n::4], failed)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    for one in made:
        interpreters.destroy(one)
    assert descriptors() == before
print(turn + 1)
"""


def test_sub_interpreters_import_through_guards_of_their_own(
    crowded: Application, rounds: Rounds
) -> None:
    """Have 20 at once, in a long run 100."""
    run_rounds(crowded, rounds, 1, f"COUNT = {times(20, 100)}\n{IN_INTERPRETERS}")


GREEN_THREADS = """
import gevent, importlib, logging, sys

class Yielding(logging.Handler):
    "Like a handler that writes to a network: each record lets other green threads run."
    def emit(self, record):
        gevent.sleep(0)
        records.append(record)

records = []
logging.getLogger("codegenie.plugins").addHandler(Yielding())
logging.getLogger("codegenie.plugins").setLevel(1)

def work(turn):
    for number in range(6):
        api = importlib.import_module(f"plugins.p{(number + turn) % 6}.api")
        gevent.sleep(0)
        assert api.other() == 42

def refused():
    try:
        import plugins.absent
    except ModuleNotFoundError:
        gevent.sleep(0)

with gevent.Timeout(60):
    jobs = [gevent.spawn(work, turn) for turn in range(64)]
    jobs += [gevent.spawn(refused) for _ in range(8)]
    gevent.joinall(jobs, raise_error=True)
assert records
"""
PATCH = "from gevent import monkey\nmonkey.patch_all()\n"
GUARD = "import codegenie.plugins.guard as guard\nguard.install(root='plugins')\n"


@pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None,
    reason="needs gevent, which `make endurance` installs",
)
@pytest.mark.parametrize("first", [PATCH + GUARD, GUARD + PATCH], ids=["gevent", "guard"])
def test_green_threads_import_first(crowded: Application, first: str) -> None:
    """Patch before the guard, and after it, as where the guard is active from the start."""
    for number in range(MODULES):
        yielding = "import gevent\ngevent.sleep(0)\nVALUE = 42\n"
        crowded.write(f"p{number}/helper.py", yielding)
    crowded.lock()
    done = crowded.run(first + GREEN_THREADS, guarded=False)
    assert done.status == 0, done
