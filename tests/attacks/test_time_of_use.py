"""The file that is used is not the file that was checked."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import PAYLOAD, Range
from tests.fixtures.trees import Application

EVIL = PAYLOAD + "VALUE = 1\n"

# Each changes the tree after the guard has verified it, and then makes Python use the change.
SWAPS = {
    "a module not yet imported": (
        "import plugins.alpha\n"
        f"pathlib.Path('plugins/alpha/helper.py').write_text({EVIL!r})\n"
        "import plugins.alpha.helper"
    ),
    "in place, the same size and time": (
        "import plugins.alpha, os\n"
        "p = pathlib.Path('plugins/alpha/api.py'); s = p.stat()\n"
        f"p.write_text({PAYLOAD!r}.ljust(s.st_size)); os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns))\n"
        "import plugins.alpha.api"
    ),
    "a reload": (
        "import plugins.alpha.helper, importlib\n"
        f"pathlib.Path('plugins/alpha/helper.py').write_text({EVIL!r})\n"
        "importlib.reload(plugins.alpha.helper)"
    ),
    "the lock rewritten as well": (
        "import plugins.alpha, hashlib, json\n"
        f"pathlib.Path('plugins/alpha/helper.py').write_text({EVIL!r})\n"
        "files = sorted(p for p in pathlib.Path('plugins/alpha').iterdir() if p.is_file())\n"
        "lines = ''.join(f'{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\\n' for p in files)\n"
        "digest = hashlib.sha256(lines.encode()).hexdigest()\n"
        "pathlib.Path('plugins/PLUGINS.lock').write_text(json.dumps({'alpha': digest}))\n"
        "import plugins.alpha.helper"
    ),
    "the folder exchanged for a link": (
        "import plugins.alpha, shutil\n"
        "shutil.move('plugins/alpha', 'moved')\n"
        f"pathlib.Path('moved/helper.py').write_text({EVIL!r})\n"
        "pathlib.Path('plugins/alpha').symlink_to('../moved')\n"
        "import plugins.alpha.helper"
    ),
}


def nothing(application: Application) -> None:
    pass


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS.keys())
def test_what_changed_after_the_check_is_refused(ground: Range, swap: str) -> None:
    script = f"import pathlib\n{swap}"
    ground.works_unguarded(nothing, f"import sys; sys.dont_write_bytecode = True\n{script}")
    ground.refused(nothing, script, "integrity_mismatch")


def test_what_changed_after_the_check_does_not_run_as_a_module(ground: Range) -> None:
    """``runpy`` wraps what a loader raises; the refusal is its cause."""
    script = (
        "import pathlib, runpy, plugins.alpha\n"
        f"pathlib.Path('plugins/alpha/helper.py').write_text({EVIL!r})\n"
        "try:\n    runpy.run_module('plugins.alpha.helper')\n"
        "except ImportError as error:\n    print(error.__cause__.rejection.kind)"
    )
    ground.works_unguarded(nothing, script)
    outcome = ground.application().run(script)
    assert (outcome.stdout, outcome.executed) == ("integrity_mismatch\n", ()), outcome


def test_a_file_that_became_huge_is_refused_in_little_memory(ground: Range) -> None:
    """Never more of it is read than was verified, and one byte."""
    outcome = ground.application().run(
        """
        import os, resource, plugins.alpha
        os.truncate('plugins/alpha/helper.py', 4 << 30)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            import plugins.alpha.helper
        except ImportError as error:
            print(error.refusal.kind)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024)
        """
    )
    assert outcome.stdout == "integrity_mismatch\nTrue\n", outcome


def test_a_racing_thread_never_gets_its_bytes_executed(ground: Range) -> None:
    """A thread exchanges the module all the time; every import runs the verified bytes or none."""
    race = f"""
        import importlib, os, pathlib, sys, threading
        sys.dont_write_bytecode = True
        target = pathlib.Path('plugins/alpha/helper.py')
        good, evil = target.read_bytes(), {EVIL.encode()!r}
        done = threading.Event()
        def exchange():
            while not done.is_set():
                for data in (evil, good):
                    pathlib.Path('new').write_bytes(data)
                    os.replace('new', target)
        thread = threading.Thread(target=exchange)
        import plugins.alpha
        thread.start()
        served = refused = 0
        for attempt in range(300):
            sys.modules.pop('plugins.alpha.helper', None)
            importlib.invalidate_caches()
            try:
                importlib.import_module('plugins.alpha.helper')
                served += 1
            except ImportError:
                refused += 1
        done.set(); thread.join()
        print(served, refused)
        """
    ground.works_unguarded(nothing, race)
    application = ground.application()
    outcome = application.run(race)
    served, refused = map(int, outcome.stdout.split())
    assert served + refused == 300
    assert "PAYLOAD" not in outcome.executed
    assert len(outcome.executed) == served


DATA = {
    "pkgutil.get_data": "pkgutil.get_data('plugins.alpha', 'data.txt')",
    "importlib.resources": "importlib.resources.files('plugins.alpha').joinpath('data.txt').read_bytes()",
    "loader.get_data": "plugins.alpha.api.__loader__.get_data(plugins.alpha.__path__[0] + '/data.txt')",
}


@pytest.mark.parametrize("reading", DATA.values(), ids=DATA.keys())
def test_data_that_changed_is_not_served(ground: Range, reading: str) -> None:
    application = ground.application()
    application.write("alpha/__init__.py", "")
    application.write("alpha/data.txt", "good")
    application.lock()
    script = (
        "import pathlib, pkgutil, importlib.resources, plugins.alpha.api\n"
        "pathlib.Path('plugins/alpha/data.txt').write_text('evil')\n"
        f"print({reading})"
    )
    assert application.run(script, guarded=False).stdout == "b'evil'\n"
    application.write("alpha/data.txt", "good")
    outcome = application.run(script, report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert "evil" not in outcome.stdout


def test_source_that_changed_is_not_shown(ground: Range) -> None:
    """``inspect`` and tracebacks take lines from ``linecache``, which prefers the disk."""
    script = (
        "import pathlib, inspect, plugins.alpha.api as a\n"
        "{change}"
        "try:\n    print(inspect.getsource(a.answer))\n"
        "except OSError as error:\n    print(error)"
    )
    change = "pathlib.Path('plugins/alpha/api.py').write_text('innocent = True\\n' * 9)\n"
    application = ground.application()
    assert "innocent" in application.run(script.format(change=change), guarded=False).stdout
    application = ground.application()
    assert "return helper.VALUE" in application.run(script.format(change="")).stdout
    outcome = application.run(script.format(change=change))
    assert outcome.stdout == "could not get source code\n", outcome
