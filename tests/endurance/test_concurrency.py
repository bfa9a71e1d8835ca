"""Threads, forks and interpreters at once, with a switch of threads every microsecond."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.endurance import times
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

def import_everything(barrier, failed, turn):
    try:
        barrier.wait()
        for number in range(6):
            api = importlib.import_module(f"plugins.p{(number + turn) % 6}.api")
            assert api.other() == 42
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


def test_64_threads_that_import_first_do_not_hang(crowded: Application) -> None:
    script = f"""
for turn in range({times(5, 500)}):
    child = os.fork()
    if not child:
        limit(120)
        started, failed = run(64)
        for thread in started:
            thread.join()
        print(failed or "", end="", flush=True)
        os._exit(bool(failed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = crowded.run(WATCHDOG + THREADS + script)
    assert (done.status, done.stdout) == (0, ""), done


def test_forks_in_the_middle_of_the_first_import_do_not_hang(crowded: Application) -> None:
    """Fork while other threads import, and import another plugin in the child.

    CPython itself hangs if the child imports what a thread of the parent was importing: the lock of
    that module is never released. So the guard must hold no lock of its own for other plugins.
    """
    crowded.add_plugin("own", {"api.py": "VALUE = 42\n"})
    crowded.lock()
    script = f"""
def in_child():
    limit(120)
    assert importlib.import_module("plugins.own.api").VALUE == 42
    os._exit(0)

for turn in range({times(5, 500)}):
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
"""
    done = crowded.run(WATCHDOG + THREADS + script)
    assert (done.status, done.stdout) == (0, ""), done


INTERPRETERS = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"


IN_INTERPRETER = """
import codegenie.plugins.guard as guard
guard.install(root="plugins")
import plugins.p0.api
assert plugins.p0.api.other() == 42
assert guard.status().verified
"""


def test_100_sub_interpreters_import_through_guards_of_their_own(crowded: Application) -> None:
    done = crowded.run(
        f"""
        import os, warnings
        warnings.simplefilter("ignore")
        import {INTERPRETERS} as interpreters
        script = {IN_INTERPRETER!r}
        before = len(os.listdir("/dev/fd"))
        for number in range({times(20, 100)}):
            made = interpreters.create()
            failed = interpreters.run_string(made, script)
            assert failed is None, failed
            interpreters.destroy(made)
        assert len(os.listdir("/dev/fd")) == before
        """,
        guarded=False,
    )
    assert done.status == 0, done


@pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="needs gevent")
def test_green_threads_import_first(crowded: Application) -> None:
    done = crowded.run(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent, importlib
        import codegenie.plugins.guard
        def work(turn):
            for number in range(6):
                api = importlib.import_module(f"plugins.p{(number + turn) % 6}.api")
                gevent.sleep(0)
                assert api.other() == 42
        jobs = [gevent.spawn(work, turn) for turn in range(64)]
        gevent.joinall(jobs, raise_error=True)
        """,
        guarded=False,
    )
    assert done.status == 0, done
