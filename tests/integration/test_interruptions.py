"""Something runs in the middle of the guard: another thread, a signal handler, a fork.

Each test has it run at one exact place, by an audit hook or a tracer of its own.
"""

from __future__ import annotations

import pytest

from tests.fixtures.trees import Application

PREAMBLE = """
import os, signal, sys, threading
import codegenie.plugins.guard as guard
guard.install(root="plugins")
failures = []
threading.excepthook = lambda arguments: failures.append(repr(arguments.exc_value))
done = []

def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def once(function):
    if not done:
        done.append(True)
        function()

def at_event(is_here, function):
    def hook(event, arguments):
        if not done and is_here(event, arguments):
            once(function)
    sys.addaudithook(hook)

def at_call(is_here, function):
    def trace(frame, event, argument):
        if event == "call" and not done and is_here(frame):
            once(function)
    sys.settrace(trace)

def in_child(function):
    child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return
    try:
        function()
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
"""


def run(application: Application, script: str) -> str:
    outcome = application.run(PREAMBLE + script, flags=("-W", "ignore"))
    assert outcome.status == 0, outcome
    return outcome.stdout


def test_backup_in_a_thread_reads_bytecode_while_rules_load(application: Application) -> None:
    application.write("alpha/__pycache__/helper.pyc", b"bytecode")
    out = run(
        application,
        """
read = []
def back_up():
    with open("plugins/alpha/__pycache__/helper.pyc", "rb") as file:
        read.append(file.read())
at_event(lambda event, arguments: event == "open" and "executions" in str(arguments[0]),
         lambda: in_thread(back_up))
import plugins.alpha.api
print(done, read, failures)
""",
    )
    assert out == "[True] [b'bytecode'] []\n"


def test_hash_module_is_loaded_once_beside_another_thread(application: Application) -> None:
    out = run(
        application,
        """
name = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
kept = []
def use():
    kept.append(__import__(name))
at_call(lambda frame: frame.f_code.co_name == "spec_from_file_location"
        and frame.f_locals.get("name") == name, use)
import plugins.alpha.api
print(not done or sys.modules[name] is kept[0])
""",
    )
    assert out == "True\n"


def test_plugin_loaded_during_the_installation_is_noticed(application: Application) -> None:
    outcome = application.run(
        """
        import sys
        loaded = []
        def hook(event, arguments):
            if event == "sys.addaudithook" and not loaded:
                loaded.append(event)
                import plugins.alpha.helper
        sys.addaudithook(hook)
        try:
            import codegenie.plugins.guard
        except ImportError as error:
            print(type(error).__name__, *error.modules)
        try:
            import plugins.alpha.api
        except ImportError as error:
            print(type(error).__name__)
        """,
        guarded=False,
    )
    assert outcome.stdout.splitlines() == [
        "GuardTooLate plugins plugins.alpha plugins.alpha.helper",
        "PluginImportRefused",
    ]


def test_plugin_loaded_while_its_folder_is_added_is_noticed(application: Application) -> None:
    Application(application.folder, "integrations")
    out = run(
        application,
        """
from codegenie._start.finder import GuardFinder
from codegenie.refusals.exceptions import GuardTooLate
def load():
    import integrations.alpha.helper
at_call(lambda frame: frame.f_code is GuardFinder.refresh.__code__, load)
try:
    guard.add("integrations", package="integrations")
except GuardTooLate as error:
    print(*error.modules)
""",
    )
    assert out == "integrations integrations.alpha integrations.alpha.helper\n"


@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_signal_handler_imports_plugin_during_first_decision(
    application: Application, scope: str
) -> None:
    application.add_plugin("beta")
    application.lock()
    out = run(
        application,
        f"""
guard.install(scope={scope!r})
answers = []
def handle(*_):
    import plugins.beta.api
    answers.append(plugins.beta.api.answer())
signal.signal(signal.SIGUSR1, handle)
at_event(lambda event, arguments: event == "open" and "PLUGINS.lock" in str(arguments[0]),
         lambda: signal.raise_signal(signal.SIGUSR1))
import plugins.alpha.api
print(answers, plugins.alpha.api.answer(), sorted(guard.status().verified))
""",
    )
    assert out == "[42] 42 ['alpha', 'beta']\n"


def test_handler_that_imports_at_each_report_ends(application: Application) -> None:
    """Import a plugin whenever one is verified: the import of a report is refused."""
    out = run(
        application,
        """
ended = []
def hook(event, arguments):
    if event == "codegenie.plugins.verified":
        try:
            import plugins.alpha.api
        except ImportError as error:
            ended.append(type(error).__name__)
sys.addaudithook(hook)
import plugins.alpha.api
print(plugins.alpha.api.answer(), set(ended))
""",
    )
    assert out == "42 {'PluginImportRefused'}\n"


@pytest.mark.parametrize("place", ["large_files._hash_waiting", "walk._Walker._hash"])
def test_child_of_fork_hashes_files_itself(application: Application, place: str) -> None:
    """Fork while files are open, and while other threads hash some of them."""
    for number in range(6):
        application.write(f"alpha/large{number}.bin", bytes([number]) * 2_000_000)
    application.lock()
    out = run(
        application,
        f"""
from codegenie.integrity import large_files, walk
large_files._processors = lambda: 4
forked = []
at_call(lambda frame: frame.f_code is {place}.__code__, lambda: forked.append(os.fork()))
import plugins.alpha.api
assert plugins.alpha.api.answer() == 42
if not forked[0]:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0
print("both")
""",
    )
    assert out == "both\n"


def test_child_with_threads_loads_what_a_lost_thread_imported(application: Application) -> None:
    out = run(
        application,
        """
here, stay = threading.Event(), threading.Event()
def imports():
    import codegenie.integrity.walk
def hook(event, arguments):
    if event == "open" and "walk." in str(arguments[0]) and not done:
        done.append(True)
        here.set()
        stay.wait()
sys.addaudithook(hook)
thread = threading.Thread(target=imports, daemon=True)
thread.start()
here.wait()
def use():
    end = threading.Event()
    waits = threading.Thread(target=end.wait)
    waits.start()
    import plugins.alpha.api
    assert plugins.alpha.api.answer() == 42
    end.set()
in_child(use)
stay.set()
thread.join()
import plugins.alpha.api
print(plugins.alpha.api.answer(), failures)
""",
    )
    assert out == "42 []\n"


# A load in another thread stops where ``wait`` is called, and this thread forks.
DURING_A_LOAD = """
from pathlib import Path
from codegenie.plugins.loader import compute_plugin_tree_digest, load_plugins
from codegenie.plugins import registry
here, stay = threading.Event(), threading.Event()
def wait():
    here.set()
    stay.wait()
def load(**more):
    load_plugins(Path("plugins"), Path("plugins/PLUGINS.lock"), **more).unwrap()
def fork_beside(use, **more):
    thread = threading.Thread(target=load, kwargs=more)
    thread.start()
    here.wait()
    in_child(use)
    stay.set()
    thread.join()
    print(failures)
"""


def test_child_of_fork_walks_a_folder_itself(application: Application) -> None:
    """Fork while a verifier of another thread checks the folder."""
    out = run(
        application,
        DURING_A_LOAD
        + """
from codegenie.result import Ok
class Waiting:
    def verify(self, folder, digest):
        wait()
        return Ok(None)
def check():
    folder = Path("plugins/alpha").absolute()
    before = compute_plugin_tree_digest(folder).unwrap()
    (folder / "added.py").write_text("")
    assert compute_plugin_tree_digest(folder).unwrap() != before
    (folder / "added.py").unlink()
fork_beside(check, verifier=Waiting())
""",
    )
    assert out == "[]\n"


def test_child_of_fork_registers_plugins_itself(application: Application) -> None:
    """Fork while another thread loads plugins."""
    register = "from codegenie.plugins.registry import register_plugin\n"
    plugin = "class Plugin:\n    name = __name__\nregister_plugin(Plugin())\n"
    application.add_plugin("first", {"api.py": "import sys\nsys.wait()\n"})
    application.add_plugin("second", {"api.py": register + plugin})
    application.lock()
    out = run(
        application,
        DURING_A_LOAD
        + """
def use():
    sys.wait = lambda: None
    import plugins.second.api
    assert registry.default_registry.get("plugins.second.api")
sys.wait = wait
fork_beside(use)
""",
    )
    assert out == "[]\n"


def test_child_of_fork_shows_the_warnings_of_its_threads(application: Application) -> None:
    """Fork while another thread compares code, which shows no warning."""
    out = run(
        application,
        """
from codegenie.integrity import code_objects
here, stay = threading.Event(), threading.Event()
source = open("plugins/alpha/helper.py").read()
path = os.path.abspath("plugins/alpha/helper.py")
code = compile(source, path, "exec")
def wait():
    here.set()
    stay.wait()
thread = threading.Thread(target=exec, args=(code, {"__name__": "tool"}))
at_event(lambda event, arguments: event == "compile" and arguments[1] == path, wait)
thread.start()
here.wait()
def check():
    assert code_objects._comparing.threads == []
in_child(check)
print(len(code_objects._comparing.threads))
stay.set()
thread.join()
print(code_objects._comparing.threads, failures)
""",
    )
    assert out == "1\n[] []\n"
