"""Threads, fork, spawn, sub-interpreters: the guard decides in each as in the first."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import codegenie
from tests.fixtures.trees import WITNESS, Application

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()")


@needs_fork
def test_a_forked_child_keeps_what_the_parent_verified(application: Application) -> None:
    """The tree changes after the parent verified it; the child imports a module it had not read."""
    outcome = application.run(
        f"""
        import os, sys, plugins.alpha
        import pathlib
        pathlib.Path('plugins/alpha/api.py').write_text({WITNESS!r})
        pid = os.fork()
        if pid == 0:
            try:
                import plugins.alpha.helper as h
                print(h.VALUE, flush=True)
                import plugins.alpha.api
            except ImportError as error:
                print(error.rejection.kind, flush=True)
            finally:
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert outcome.stdout == "42\nintegrity_mismatch\n7\n", outcome
    assert outcome.executed == ("plugins.alpha.helper",)


@needs_fork
def test_a_child_forked_while_another_thread_imports_does_not_hang(
    application: Application,
) -> None:
    for number in range(50):
        application.write(f"alpha/m{number}.py", "")
    application.lock()
    outcome = application.run(
        """
        import importlib, os, threading, warnings
        warnings.simplefilter('ignore', DeprecationWarning)   # fork with threads, on purpose
        import plugins
        def work():
            for number in range(50):
                importlib.import_module(f'plugins.alpha.m{number}')
        thread = threading.Thread(target=work)
        thread.start()
        statuses = set()
        for attempt in range(10):
            pid = os.fork()
            if pid == 0:
                import plugins.alpha.helper
                os._exit(0)
            statuses.add(os.waitpid(pid, 0)[1])
        thread.join()
        print(statuses)
        """
    )
    assert outcome.stdout == "{0}\n", outcome


MAIN = """\
import codegenie.plugins.guard
import multiprocessing
import plugins.alpha.api


def work(number):
    return number + plugins.alpha.api.answer()


if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(work, [1, 2]), pool.apply(plugins.alpha.api.answer))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes_import_through_the_guard(application: Application, method: str) -> None:
    """The main module imports the guard first, and workers run the main module."""
    (application.folder / "main.py").write_text(MAIN.format(method=method))
    outcome = application.run_file("main.py")
    assert outcome.stdout == "[43, 44] 42\n", outcome


def test_32_threads_verify_once_and_import_everything(application: Application) -> None:
    outcome = application.run(
        """
        import importlib, sys, threading
        walks = []
        sys.addaudithook(lambda event, args: event == 'os.scandir' and walks.append(args))
        start = threading.Barrier(32)
        answers = []
        def work():
            start.wait()
            answers.append(importlib.import_module('plugins.alpha.api').answer())
        threads = [threading.Thread(target=work) for _ in range(32)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(answers), set(answers), len(walks))
        """
    )
    # The plugin folder and the plugin's own: one walk.
    assert outcome.stdout == "32 {42} 2\n", outcome
    assert sorted(outcome.executed) == ["plugins.alpha.api", "plugins.alpha.helper"]


def test_threads_that_load_the_standard_library_meanwhile_do_not_hang(
    application: Application,
) -> None:
    """``find_spec`` runs under the global import lock; were the guard to import there, a thread
    importing the same module at that moment would wait for it, and it for the thread."""
    outcome = application.run(
        """
        import importlib, sys, threading
        names = ['json', 'hashlib', 'linecache', 're', 'logging', 'unicodedata', 'tokenize']
        start = threading.Barrier(len(names) + 1)
        def work(name):
            start.wait()
            importlib.import_module(name)
        threads = [threading.Thread(target=work, args=(n,)) for n in [*names, 'plugins.alpha.api']]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(sys.modules['plugins.alpha.api'].answer())
        """
    )
    assert outcome.stdout == "42\n", outcome


def test_threads_that_import_different_plugins_first_do_not_hang(
    application: Application,
) -> None:
    """While one thread executes ``plugins``, the package is in ``sys.modules`` already, and the
    others go straight to ``find_spec`` for their own plugin."""
    for number in range(16):
        application.add_plugin(f"p{number}", {"big.bin": b"x" * 200_000})
    application.lock()
    script = """
        import importlib, sys, threading
        failed = []
        start = threading.Barrier(16)
        def work(number):
            start.wait()
            try:
                importlib.import_module(f'plugins.p{number}.api').answer()
            except BaseException as error:
                failed.append(repr(error))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(len(failed), sorted(set(failed)))
        """
    for _ in range(5):
        outcome = application.run(script)
        assert outcome.stdout == "0 []\n", outcome

    application.write("p9/helper.py", WITNESS)
    for _ in range(5):
        outcome = application.run(script)
        assert outcome.stdout.startswith("16 "), outcome
        assert outcome.executed == ()


def test_a_refused_folder_stays_refused_for_the_thread_that_waited(
    application: Application,
) -> None:
    """``__import__('plugins')`` returns the module to a thread that waited for its execution, also
    when that failed. Nothing may be served on the strength of that."""
    for name in ("alpha", "beta"):
        application.add_plugin(name, {"__init__.py": WITNESS, "big.bin": b"x" * 2_000_000})
    application.add_plugin("zbad")
    application.lock()
    application.write("zbad/helper.py", WITNESS)
    script = """
        import threading
        start = threading.Barrier(2)
        raised = []
        def work(name):
            start.wait()
            try:
                __import__(f'plugins.{name}')
            except BaseException as error:
                raised.append(type(error).__name__)
        threads = [threading.Thread(target=work, args=(n,)) for n in ('alpha', 'beta')]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(raised)
        """
    for _ in range(8):
        outcome = application.run(script)
        assert outcome.executed == (), outcome
        assert outcome.stdout == "['PluginImportRefused', 'PluginImportRefused']\n", outcome


@pytest.mark.parametrize(
    "reaction",
    [
        "class Handler(logging.Handler):\n"
        "    def emit(self, record):\n        attempt()\n"
        "logging.getLogger('codegenie.plugins').addHandler(Handler())",
        "sys.addaudithook(lambda event, args: event == 'codegenie.plugins.refused' and attempt())",
    ],
    ids=["log handler", "audit hook"],
)
def test_a_refusal_opens_no_door_to_what_reacts_to_it(
    application: Application, reaction: str
) -> None:
    """While ``plugins`` is refused it is still in ``sys.modules``, half-executed."""
    application.add_plugin("beta")
    application.lock()
    application.write("beta/helper.py", WITNESS)
    script = (
        "import logging, sys\n"
        "raised = []\n"
        "def attempt():\n"
        "    try:\n        import plugins.alpha.api\n"
        "    except ImportError as error:\n        raised.append(type(error).__name__)\n"
        f"{reaction}\n"
        "try:\n    import plugins.alpha.api\n"
        "except ImportError as error:\n    raised.append(type(error).__name__)\n"
        "print(raised)"
    )
    outcome = application.run(script)
    assert outcome.executed == (), outcome
    assert outcome.stdout == "['PluginImportRefused', 'PluginImportRefused']\n", outcome


def test_another_package_named_plugins_is_refused(application: Application) -> None:
    outcome = application.run(
        """
        import sys, types
        sys.modules['plugins'] = types.ModuleType('plugins')
        sys.modules['plugins'].__path__ = ['plugins']
        try:
            import plugins.alpha.api
        except ImportError as error:
            print(type(error).__name__, error.refusal.kind, error.refusal.detail)
        """
    )
    assert outcome.executed == ()
    expected = "PluginImportRefused unverified_code the module 'plugins' in sys.modules is not the"
    assert outcome.stdout.startswith(expected), outcome


def test_a_refusal_in_find_spec_does_not_hang_on_an_import(application: Application) -> None:
    """``scope="plugin"`` refuses in ``find_spec``, where nothing may be imported."""
    application.add_plugin("beta")
    application.lock()
    application.write("beta/helper.py", WITNESS)
    outcome = application.run(
        """
        import importlib, sys, threading
        import codegenie.plugins.guard as guard
        guard.install(scope='plugin')
        import plugins.alpha.api
        before = set(sys.modules)
        finder = sys.meta_path[0]
        try:
            finder.find_spec('plugins.beta')
        except ImportError as error:
            print(sorted(set(sys.modules) - before), error.rejection.kind)
        """
    )
    assert outcome.stdout == "[] integrity_mismatch\n", outcome


CHANGE = "open('plugins/beta/helper.py', 'w').write('CHANGED = 1')"
IMPORT_BETA = """
try:
    import plugins.beta.helper
except ImportError as error:
    print(type(error).__name__, str(error).partition('\\n')[0])
"""


def test_refusal_without_a_free_descriptor_stays_a_refusal(application: Application) -> None:
    application.add_plugin("beta")
    application.lock()
    outcome = application.run(
        f"""
import os, resource, plugins.alpha.api, plugins.beta
{CHANGE}
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
taken = []
try:
    while True: taken.append(os.dup(0))
except OSError: pass
{IMPORT_BETA}
for descriptor in taken: os.close(descriptor)
{IMPORT_BETA}
"""
    )
    first, second = outcome.stdout.splitlines()
    assert first.startswith("ImportError the plugin guard cannot load its own code"), outcome
    assert second.startswith("PluginImportRefused "), outcome


def test_refusal_after_the_guard_was_removed_from_the_disk_is_short(
    application: Application, tmp_path: Path
) -> None:
    application.add_plugin("beta")
    application.lock()
    copy = tmp_path / "copy"
    shutil.copytree(Path(codegenie.__file__).parent, copy / "codegenie")
    outcome = application.run(
        f"""
import sys, shutil
sys.path.insert(0, {str(copy)!r})
import codegenie.plugins.guard, plugins.alpha.api, plugins.beta
shutil.rmtree({str(copy)!r})
{CHANGE}
{IMPORT_BETA}
import plugins.beta.api
""",
        guarded=False,
    )
    begin = (
        "ImportError the plugin guard cannot load its own code, so no guarded module is imported"
    )
    assert outcome.stdout.startswith(begin), outcome
    assert outcome.stderr.count("cannot load its own code") == 1, outcome


@needs_fork
def test_refusal_in_the_child_of_a_fork_needs_no_lock_of_the_parent(
    application: Application,
) -> None:
    """Fork while another thread imports the modules that a refusal needs, and does not go on."""
    application.add_plugin("beta")
    application.lock()
    outcome = application.run(
        f"""
import os, sys, threading, plugins.alpha.api, plugins.beta
from importlib.machinery import ModuleSpec
importing = threading.Event()
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == 'codegenie.text':
            return ModuleSpec(name, self)
    def create_module(self, spec):
        pass
    def exec_module(self, module):
        importing.set()
        threading.Event().wait()
sys.meta_path.insert(0, Slow())
threading.Thread(target=lambda: __import__('codegenie.text'), daemon=True).start()
importing.wait()
{CHANGE}
child = os.fork()
if not child:
    {IMPORT_BETA.strip().replace(chr(10), chr(10) + "    ")}
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
sys.stdout.flush()
os._exit(0)
"""
    )
    assert outcome.stdout.startswith("PluginImportRefused "), outcome


def test_find_spec_below_the_package_imports_nothing(application: Application) -> None:
    """Show the rule behind the test above: modules of the guard are loaded without an import."""
    outcome = application.run(
        """
        import sys, plugins
        finder = sys.meta_path[0]
        imported = []
        sys.addaudithook(lambda event, args: event == 'import' and imported.append(args[0]))
        for name in ('plugins', 'plugins.alpha', 'plugins.alpha.api'):
            finder.find_spec(name)
        try:
            finder.find_spec('plugins.alpha.nothing')
        except ModuleNotFoundError:
            pass
        print(imported)
        """
    )
    assert outcome.stdout == "[]\n", outcome


INTERPRETER = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"


def test_a_sub_interpreter_without_pydantic_imports_and_refuses(application: Application) -> None:
    """Isolated interpreters of 3.12 and later cannot load pydantic's extension module."""
    script = f"""
        import {INTERPRETER} as interpreters
        code = '''
        import sys
        sys.path.insert(0, '.')
        import codegenie.plugins.guard
        import plugins.alpha.api as a
        print(a.answer(), 'pydantic' in sys.modules, flush=True)
        import pathlib
        pathlib.Path('plugins/alpha/late.py').write_text('changed')
        try:
            import importlib; importlib.reload(a)
            import plugins.alpha.late
        except ImportError as error:
            print(type(error).__name__, flush=True)
        '''
        import textwrap
        interpreters.run_string(interpreters.create(), textwrap.dedent(code))
    """
    application.write("alpha/late.py", "")
    application.lock()
    outcome = application.run(script, guarded=False)
    assert outcome.stdout == "42 False\nPluginImportRefused\n", outcome


@needs_fork
def test_exit_from_a_forked_child_ends_the_child_only(application: Application) -> None:
    application.write("alpha/api.py", WITNESS)
    outcome = application.run(
        """
        import os
        pid = os.fork()
        if pid == 0:
            import plugins.alpha.api
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
        environment={"CODEGENIE_GUARD_ON_REFUSAL": "exit"},
    )
    assert (outcome.status, outcome.stdout, outcome.executed) == (0, "4\n", ()), outcome


def test_an_unpickled_loader_trusts_nothing_of_the_pickle(application: Application) -> None:
    dump = "import pickle, plugins.alpha.helper as h; file = open('spec', 'wb')\n"
    dump += "pickle.dump(h.__spec__, file)"
    load = "import pickle, importlib.util as u; s = pickle.load(open('spec', 'rb'))\n"
    load += "m = u.module_from_spec(s); s.loader.exec_module(m); print('ran', m.VALUE)"
    assert application.run(dump).status == 0
    assert application.run(load).stdout == "ran 42\n"
    assert application.run(f"import plugins.alpha\n{load}").stdout == "ran 42\n"

    application.write("alpha/helper.py", "VALUE = 43\n")
    for before in ("", "import plugins\n"):
        refused = application.run(before + load)
        assert "ran" not in refused.stdout
        assert "PluginImportRefused" in refused.stderr
        assert "[integrity_mismatch]" in refused.stderr

    unguarded = application.run(load, guarded=False)
    assert "ran" not in unguarded.stdout
    assert "ImportError: the loader of 'plugins.alpha.helper' cannot be unpickled" in (
        unguarded.stderr
    )
