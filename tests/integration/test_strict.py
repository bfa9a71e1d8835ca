"""``strict``: what it lets pass, what it puts right, and how it is switched and reported.

The attacks that it stops are in ``tests/attacks/displacement.py``.
"""

from __future__ import annotations

import sys
import zipfile

import pytest

from tests.fixtures.trees import WITNESS, Application, Outcome

CHANGED = "open('plugins/alpha/helper.py', 'a').write('EXTRA = 1\\n')"
BY_SPEC = """
import importlib.util
spec = importlib.util.spec_from_file_location('helper', 'plugins/alpha/helper.py')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
TELL = """
except ImportError as error:
    print(type(error).__name__, error.refusal.kind, error.refusal.plugin)
"""


def attempt(code: str) -> str:
    return "try:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines()) + TELL


REMOVED = "sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'GuardFinder']"
DISPLACED = {
    "removed": REMOVED,
    "rebound": "sys.meta_path = sys.meta_path[1:]",
    "rebound to a tuple": "sys.meta_path = tuple(sys.meta_path[1:])",
    "behind another": "sys.meta_path.insert(0, type('Other', (), {'find_spec': lambda *a: None}))",
}


@pytest.mark.parametrize("displace", DISPLACED.values(), ids=DISPLACED.keys())
def test_an_import_statement_puts_the_guard_back_first(
    application: Application, displace: str
) -> None:
    outcome = application.run(
        f"""
        import sys, codegenie.plugins.guard as guard
        {displace}
        print(guard.status().active)
        import plugins.alpha.api as api
        print(guard.status().active, type(api.__loader__).__name__, api.answer())
        """
    )
    assert outcome.stdout == "False\nTrue VerifiedSourceLoader 42\n", outcome


def test_an_unrelated_import_leaves_the_order_alone(application: Application) -> None:
    """Test runners are first for a reason; nothing is rearranged until a plugin is imported."""
    outcome = application.run(
        """
        import sys
        other = type('Other', (), {'find_spec': lambda *a: None})
        sys.meta_path.insert(0, other)
        import colorsys
        print(sys.meta_path[0] is other)
        import plugins.alpha.api
        print(sys.meta_path[0] is other, other in sys.meta_path)
        """
    )
    assert outcome.stdout == "True\nFalse True\n", outcome


def test_import_module_past_a_displaced_guard_is_refused_once_and_then_works(
    application: Application,
) -> None:
    past = attempt("importlib.import_module('plugins.alpha.api')")
    outcome = application.run(
        f"import sys, importlib\n{REMOVED}\n{past}"
        "print(sorted(n for n in sys.modules if n.startswith('plugins')))\n"
        "print(importlib.import_module('plugins.alpha.api').answer())"
    )
    expected = "PluginImportRefused unverified_code alpha\n[]\n42\n"
    if sys.version_info >= (3, 15):
        # import_module raises the event of an import statement: the guard is first at once.
        modules = ["plugins", "plugins.alpha", "plugins.alpha.api", "plugins.alpha.helper"]
        expected = f"{modules}\n42\n"
    assert outcome.stdout == expected, outcome


@pytest.mark.parametrize(("how", "level"), [("removed", "WARNING"), ("behind another", "INFO")])
def test_that_it_was_displaced_is_reported(application: Application, how: str, level: str) -> None:
    outcome = application.run(
        f"""
        import logging, sys
        logging.basicConfig(level='INFO', format='%(levelname)s %(message)s', stream=sys.stdout)
        sys.addaudithook(lambda e, a: e == 'codegenie.plugins.displaced' and print('event', a))
        {DISPLACED[how]}
        import plugins.alpha.api
        """
    )
    event, record = outcome.stdout.splitlines()[:2]
    assert event.startswith("event ('")
    assert record.startswith(f"{level} the guard had been "), outcome


UNCHANGED = {
    "spec_from_file_location": BY_SPEC + "print(module.VALUE)",
    "with bytecode that Python wrote before": (
        "import py_compile; py_compile.compile('plugins/alpha/helper.py')"
        + BY_SPEC
        + "print(module.VALUE)"
    ),
    "runpy.run_path": "import runpy; print(runpy.run_path('plugins/alpha/helper.py')['VALUE'])",
    "its folder on sys.path": "import sys; sys.path.insert(0, 'plugins/alpha')\nimport helper; print(helper.VALUE)",
    "compiled by a tool": (
        "path = 'plugins/alpha/helper.py'\n"
        "exec(compile(open(path).read(), path, 'exec', dont_inherit=True)); print(VALUE)"
    ),
    "optimised by a tool": (
        "path = 'plugins/alpha/helper.py'\n"
        "exec(compile(open(path, 'rb').read(), path, 'exec', optimize=2)); print(VALUE)"
    ),
}


@pytest.mark.parametrize("code", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_an_unchanged_file_runs_however_it_is_loaded(application: Application, code: str) -> None:
    assert application.run(code).stdout == "42\n"


@pytest.mark.parametrize("code", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_and_a_changed_one_does_not(application: Application, code: str) -> None:
    """The same programs, after the file was changed: so it is the bytes that decide."""
    outcome = application.run(f"import plugins.alpha\n{CHANGED}\n{attempt(code)}")
    assert outcome.stdout == "PluginImportRefused integrity_mismatch alpha\n", outcome
    assert outcome.executed == ()


def test_generated_code_may_carry_the_name_of_a_data_file(application: Application) -> None:
    application.write("alpha/page.html", "{{ x }}")
    application.lock()
    outcome = application.run(
        "import plugins.alpha\n"
        "for name in 'page.html', 'not-there.html':\n"
        "    exec(compile('print(\"rendered\")', f'plugins/alpha/{name}', 'exec'))"
    )
    assert outcome.stdout == "rendered\n" * 2, outcome


def test_code_outside_the_folder_is_nobodys_business(application: Application) -> None:
    (application.folder / "tool.py").write_text("print('tool')")
    (application.folder / "plugins_old").mkdir()
    (application.folder / "plugins_old" / "old.py").write_text("print('old')")
    outcome = application.run(
        """
        import plugins.alpha, runpy, py_compile, sys
        runpy.run_path('tool.py'); runpy.run_path('plugins_old/old.py')
        py_compile.compile('tool.py', cfile='tool.pyc'); runpy.run_path('tool.pyc')
        """
    )
    assert outcome.stdout == "tool\nold\ntool\n", outcome


def test_bytecode_may_be_written_into_the_folder(application: Application) -> None:
    """It is never read; a tool that writes it must not break of it."""
    outcome = application.run(
        """
        import compileall, plugins.alpha.api
        print(compileall.compile_dir('plugins/alpha', quiet=1, force=True))
        with open('plugins/alpha/made.pyc', 'wb') as file: file.write(b'x')
        """
    )
    assert (outcome.stdout, outcome.stderr) == ("True\n", ""), outcome


def test_without_strict_it_watches_nothing(application: Application) -> None:
    outcome = application.run(
        f"import codegenie.plugins.guard as guard; guard.install(strict=False)\n{CHANGED}{BY_SPEC}"
        "print(module.EXTRA, guard.status().strict)"
    )
    assert outcome.stdout == "1 False\n", outcome


@pytest.mark.parametrize("before", [True, False])
def test_strict_is_settled_with_the_rest_of_the_set_up(
    application: Application, before: bool
) -> None:
    outcome = application.run(
        f"""
        import codegenie.plugins.guard as guard
        guard.install(strict={before})
        guard.install(strict={before})
        import plugins.alpha
        try:
            guard.install(strict={not before})
        except RuntimeError as error:
            print(type(error).__name__, error.setting, error.present, error.requested)
        """
    )
    assert outcome.stdout == f"GuardSettled strict {before} {not before}\n", outcome


def test_audit_mode_reports_and_lets_it_run(application: Application) -> None:
    outcome = application.run(
        f"import plugins.alpha, codegenie.plugins.guard as guard\n{CHANGED}{BY_SPEC}"
        "print(module.EXTRA, [r.kind for r in guard.status().refused])",
        environment={"CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.stdout == "1 ['integrity_mismatch']\n", outcome


def test_a_spec_may_claim_another_origin_than_the_file_that_its_loader_reads(
    application: Application,
) -> None:
    outcome = application.run(
        f"import plugins.alpha\n{CHANGED}\n"
        + attempt(
            "import importlib.machinery as m, importlib.util as u\n"
            "loader = m.SourceFileLoader('helper', 'plugins/alpha/helper.py')\n"
            "loader.source_to_code = lambda data, path, *more: compile(data, 'made up', 'exec')\n"
            "spec = u.spec_from_loader('helper', loader, origin='made up')\n"
            "loader.exec_module(u.module_from_spec(spec))"
        )
    )
    assert "integrity_mismatch" in outcome.stdout, outcome


def test_what_the_comparison_needs_cannot_be_loaded(application: Application) -> None:
    """It is never a ModuleNotFoundError: that is how programs ask for an optional plugin."""
    outcome = application.run(
        """
        import plugins.alpha, sys
        path = "plugins/alpha/helper.py"
        code = compile(open(path, "rb").read(), path, "exec")
        sys.meta_path.clear()
        try:
            exec(code)
        except ImportError as error:
            print(type(error).__name__, "cannot load its own code" in str(error))
        """
    )
    assert outcome.stdout == "ImportError True\n", outcome


def test_what_judges_is_held_from_the_first_decision_on(application: Application) -> None:
    """A module that another finder has served is forgotten, whatever became of the guard's own."""
    outcome = application.run(
        """
        import plugins.alpha, sys
        from importlib.machinery import ModuleSpec
        from importlib.util import module_from_spec
        class Other:
            def find_spec(self, name, path=None, target=None):
                if name == "plugins":
                    found = ModuleSpec(name, None, is_package=True)
                    found.submodule_search_locations = ["plugins"]
                    return found
        for name in list(sys.modules):
            if name.startswith(("codegenie.plugins", "plugins")):
                del sys.modules[name]
        sys.meta_path[:] = [Other()]
        other = sys.modules["plugins"] = module_from_spec(Other().find_spec("plugins"))
        print(other.__path__)
        import plugins.alpha
        print(plugins is other, type(plugins.__loader__).__name__)
        """
    )
    assert outcome.stdout == "['plugins']\nFalse RootLoader\n", outcome


def test_code_of_the_folder_that_is_no_file_of_it_does_not_run(application: Application) -> None:
    """If two checks of the hook differ, as in a race for a link, the code is refused."""
    outcome = application.run(
        """
        import plugins.alpha
        from codegenie._start.finder import installed
        from codegenie._enforce import strict
        claim = installed().claims[0]
        for answer in (None, claim):
            installed().claim_at = lambda path: answer
            code = compile('', 'x.py', 'exec')
            try:
                strict.check_code(claim.enforcer(), code, '/elsewhere/x.py', '', as_module=False)
            finally:
                del installed().claim_at
            print('runs')
        """,
        report=True,
    )
    assert outcome.refusal["rejection"]["kind"] == "unverified_code", outcome
    assert outcome.stdout.count("runs") == 1


def test_on_refusal_exit_ends_the_process(application: Application) -> None:
    outcome = application.run(
        f"import plugins.alpha\n{CHANGED}\n"
        f"try:\n    import runpy; runpy.run_path('plugins/alpha/helper.py')\nfinally:\n    print('on')",
        environment={"CODEGENIE_GUARD_ON_REFUSAL": "exit"},
    )
    assert (outcome.status, outcome.stdout) == (4, ""), outcome
    assert "[integrity_mismatch]" in outcome.stderr


def test_an_audit_hook_that_keeps_others_out_is_an_error(application: Application) -> None:
    """``sys.addaudithook`` says nothing when another hook vetoes it by a RuntimeError."""
    outcome = application.run(
        """
        import sys
        def veto(event, args):
            if event == 'sys.addaudithook': raise RuntimeError
        sys.addaudithook(veto)
        before = list(sys.meta_path)
        try:
            import codegenie.plugins.guard
        except ImportError as error:
            print(error.name, 'lets no other one in' in str(error), sys.meta_path == before)
        """,
        guarded=False,
    )
    assert outcome.stdout == "codegenie.plugins.guard True True\n", outcome


@pytest.mark.parametrize("flags", [(), ("-X", "frozen_modules=off"), ("-S",), ("-I",)])
def test_the_standard_library_loads_under_the_hook(
    application: Application, flags: tuple[str, ...]
) -> None:
    """With ``-S`` even ``os`` is loaded after the hook was added, which itself needs ``os``."""
    import codegenie

    source = codegenie.__path__[0].rpartition("/")[0]
    outcome = application.run(
        f"import sys; sys.path.insert(0, {source!r}); import codegenie.plugins.guard\n"
        "import json, os, dataclasses, email.message, concurrent.futures, zipimport, collections\n"
        "sys.path.insert(0, '.')\n"
        "import plugins.alpha.api as api; print(api.answer())",
        guarded=False,
        flags=flags,
    )
    assert (outcome.stdout, outcome.stderr) == ("42\n", ""), outcome


def test_threads_forks_and_the_end_of_the_interpreter(application: Application) -> None:
    outcome = application.run(
        """
        import atexit, os, threading, warnings
        warnings.simplefilter('ignore', DeprecationWarning)  # of fork, while a thread is ending
        def late():
            import colorsys, plugins.alpha.api as api
            print('late', api.answer(), flush=True)
        atexit.register(late)
        thread = threading.Thread(target=lambda: __import__('plugins.alpha.helper'))
        thread.start(); thread.join()
        pid = os.fork()
        if pid == 0:
            import plugins.alpha.api as api
            print('child', api.answer(), flush=True); os._exit(0)
        os.waitpid(pid, 0)
        """
    )
    assert outcome.stdout == "child 42\nlate 42\n", outcome
    assert outcome.stderr == ""


def test_a_script_of_the_folder_runs_while_it_is_unchanged(application: Application) -> None:
    """``python plugins/alpha/tool.py`` under a guard that start-up has installed."""
    application.write("alpha/tool.py", "print('tool')")
    application.lock()
    site = application.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import codegenie.plugins.guard\n")
    command = [__import__("sys").executable, "plugins/alpha/tool.py"]
    environment = {
        "PYTHONPATH": str(site),
        "CODEGENIE_PLUGINS_ROOT": str(application.root),
    }
    outcome = application.start(command, environment=environment)
    assert outcome.stdout == "tool\n", outcome
    application.write("alpha/tool.py", "print('changed')")
    outcome = application.start(command, environment=environment)
    assert (outcome.status, outcome.stdout) == (1, ""), outcome
    assert "[integrity_mismatch]" in outcome.stderr


def test_the_hook_is_quiet_when_the_interpreter_ends(application: Application) -> None:
    """The last objects to be cleaned up open, remove and execute after modules have been
    emptied."""
    script = """
        import os, sys
        class Reporter:
            def __init__(self): open('scratch', 'w').close()
            def __call__(self, *error): sys.__excepthook__(*error)
            def __del__(self, unlink=os.unlink, run=exec, make=compile, tell=sys.audit):
                run(make('x = 1', 'made-up.py', 'exec'), {})
                tell('ctypes.dlopen', './library.so')
                unlink('scratch')
        sys.excepthook = Reporter()
        """
    for guarded in (False, True):
        outcome = application.run(script, guarded=guarded)
        assert (outcome.status, outcome.stderr) == (0, ""), outcome
        assert not (application.folder / "scratch").exists()


AT_THE_END = """
import builtins, collections, os, posix, sys
import plugins.alpha.api

class Resource:
    def __init__(self, name):
        self.name = name
    def __del__(self, make=compile, run=exec, read=os.open, close=os.close, put=os.write,
                tuples=collections.namedtuple, outside=os.path.abspath('outside.py'),
                plugin=plugins.alpha.api.__file__):
        close(read(outside, 0))
        close(read(plugin, 0))
        run(make('pass', outside, 'exec'), {})
        run(make('pass', '<string>', 'exec'), {})
        put(1, b'done: ' + self.name.encode() + b'\\n')
        if self.name in ('cycle', 'plugin'):
            tuples('Point', 'x y')
            import json, plugins.alpha.helper

cycle = Resource('cycle')
cycle.me = cycle
plugins.alpha.api.keep = Resource('plugin')
os.keep = Resource('os')
builtins.keep = Resource('builtins')
"""


@pytest.mark.parametrize("flags", [(), ("-X", "dev")], ids=["plain", "dev"])
def test_honest_code_at_the_end_is_as_without_the_guard(
    application: Application, flags: tuple[str, ...]
) -> None:
    (application.folder / "outside.py").write_text("")
    unguarded = application.run(AT_THE_END, guarded=False, flags=flags)
    assert unguarded.stdout.count("done") == 4, unguarded
    guarded = application.run(AT_THE_END, flags=flags)
    assert sorted(guarded.stdout.split("\n")) == sorted(unguarded.stdout.split("\n"))
    # Which imports fail depends on the order in which modules are emptied.
    assert raised(guarded) <= raised(unguarded) | {"ImportError: sys.meta_path is None, Python is"}


def raised(outcome: Outcome) -> set[str]:
    """Return how the exceptions begin that an interpreter has ignored."""
    lines = [line for line in outcome.stderr.splitlines() if "Error" in line.partition(":")[0]]
    return {" ".join(line.split()[:5]) for line in lines}


def test_in_audit_mode_code_at_the_end_is_reported(application: Application) -> None:
    outcome = application.run(
        """
        import os, plugins.alpha.api
        class Resource:
            def __del__(self, make=compile, run=exec, put=os.write):
                run(make('put(1, b"ran")', 'plugins/alpha/helper.py', 'exec'), {'put': put})
        keep = Resource()
        keep.me = keep
        """,
        environment={"CODEGENIE_GUARD_MODE": "audit", "CODEGENIE_GUARD_LOG": "events.jsonl"},
    )
    assert (outcome.stdout, outcome.stderr) == ("ran", ""), outcome
    assert "would_refuse" in (application.folder / "events.jsonl").read_text()


def test_libraries_are_found_from_within_the_folder(application: Application) -> None:
    """The dynamic linker does not look into the working folder for a name without a slash."""
    outcome = application.run(
        """
        import os; os.chdir('plugins/alpha')
        import ctypes, ctypes.util
        print(ctypes.CDLL(None) is not None, ctypes.CDLL(ctypes.util.find_library('c')) is not None)
        """,
        environment={"CODEGENIE_PLUGINS_ROOT": str(application.root)},
    )
    assert outcome.stdout == "True True\n", outcome


def test_tools_that_read_bytecode_as_data_go_on(application: Application) -> None:
    """A refusal would end the process here: none is needed to copy bytecode."""
    outcome = application.run(
        """
        import compileall, os, shutil, sys
        import plugins.alpha.api
        print(bool(compileall.compile_dir('plugins/alpha', quiet=1)))
        print(bool(compileall.compile_dir('plugins/alpha', quiet=1)))
        shutil.copytree('plugins', 'backup')
        print(len([name for _, _, names in os.walk('backup') for name in names if '.pyc' in name]))
        """,
        environment={"CODEGENIE_GUARD_ON_REFUSAL": "exit"},
    )
    assert outcome.stdout == "True\nTrue\n2\n", outcome


@pytest.mark.parametrize("name", ["memory_0x1", "made/up.py", "tm\\ud800/x.py", "tm\\u00e9/x.py"])
@pytest.mark.parametrize("gone", [False, True], ids=["", "without a working folder"])
def test_generated_code_may_have_any_name(application: Application, name: str, gone: bool) -> None:
    leave = "os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())" if gone else ""
    outcome = application.run(
        f"import os; {leave}\nexec(compile('print(1)', '{name}', 'exec'))",
        environment={
            "CODEGENIE_PLUGINS_ROOT": str(application.root),
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONUTF8": "0",
        },
    )
    assert (outcome.stdout, outcome.stderr) == ("1\n", ""), outcome


def test_a_module_with_computed_attributes_is_not_called(application: Application) -> None:
    outcome = application.run(
        """
        import importlib.machinery, types
        class Lazy(types.ModuleType):
            @property
            def __spec__(self): raise RuntimeError('asked')
        (open('lazy.py', 'w')).write('print("ran")')
        importlib.machinery.SourceFileLoader('lazy', 'lazy.py').exec_module(Lazy('lazy'))
        """
    )
    assert outcome.stdout == "ran\n", outcome


def test_a_relative_root_is_where_the_interpreter_started(application: Application) -> None:
    outcome = application.run(
        f"import os; path = os.path.abspath('plugins/alpha/helper.py'); os.chdir('/')\n"
        f"open(path, 'a').write('EXTRA = 1')\nimport runpy\n{attempt('runpy.run_path(path)')}",
        environment={"CODEGENIE_PLUGINS_ROOT": "plugins"},
    )
    assert outcome.stdout == "PluginImportRefused integrity_mismatch alpha\n", outcome


WAIVED = {
    "code": BY_SPEC,
    "bytecode": "import py_compile; open(py_compile.compile('plugins/alpha/helper.py'), 'rb').close()",
    "machine code": (
        "import _bisect, shutil, importlib.util as u\n"
        "shutil.copy(_bisect.__file__, 'plugins/alpha/_bisect.so')\n"
        "u.module_from_spec(u.spec_from_file_location('_bisect', 'plugins/alpha/_bisect.so'))"
        if hasattr(__import__("_bisect"), "__file__")
        else BY_SPEC
    ),
    "past the guard": (
        f"import sys, importlib; {REMOVED}; importlib.import_module('plugins.alpha.helper')"
    ),
}


@pytest.mark.parametrize("code", WAIVED.values(), ids=WAIVED.keys())
def test_a_refusal_that_was_waived_is_not_reported_again(
    application: Application, code: str
) -> None:
    """Audit mode has reported the plugin once; what it does after that is its own affair."""
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = application.run(
        f"import plugins.alpha, codegenie.plugins.guard as guard\n{code}\n"
        "print([r.kind for r in guard.status().refused])",
        environment={"CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.stdout == "['integrity_mismatch']\n", outcome


# --- more ways in -------------------------------------------------------------------------------

GUARDED = "import codegenie.plugins.guard\n"


def test_a_start_up_file_of_the_plugin_folder_that_was_added(application: Application) -> None:
    """The interpreter prints what is raised, and goes on without it."""
    application.write("alpha/startup.txt", WITNESS)
    (application.folder / "sitecustomize.py").write_text(GUARDED)
    variables = {
        "PYTHONPATH": str(application.folder),
        "PYTHONSTARTUP": "plugins/alpha/startup.txt",
    }
    outcome = application.start([sys.executable, "-i"], environment=variables)
    assert outcome.executed == ()
    assert "[integrity_mismatch]" in outcome.stderr, outcome
    application.lock()
    outcome = application.start([sys.executable, "-i"], environment=variables)
    assert outcome.executed == ("__main__",), outcome


def test_a_path_file_in_the_plugin_folder(application: Application) -> None:
    """``site`` prints what is raised by a line of it, and goes on."""
    line = "import os; open(os.environ['WITNESS'], 'a').write('line\\n')\n"
    script = "import os, site; site.addsitedir(os.path.abspath('plugins/alpha'))"
    application.write("alpha/vendor.pth", line)
    application.lock()
    assert application.run(script).executed == ("line",)
    application.write("alpha/vendor.pth", line + "# more\n")
    outcome = application.run(script)
    assert outcome.executed == ()
    assert "[integrity_mismatch]" in outcome.stderr, outcome


def test_a_library_that_sqlite3_loads_is_one_that_ctypes_loads(application: Application) -> None:
    """Raised by hand: many builds of Python cannot load such libraries."""
    application.write("alpha/native.so", "not locked")
    outcome = application.run(
        attempt("import sys; sys.audit('sqlite3.load_extension', 0, 'plugins/alpha/native.so')")
    )
    assert outcome.stdout == "PluginImportRefused integrity_mismatch alpha\n", outcome


def test_verified_code_can_be_executed_again_and_again(application: Application) -> None:
    """The interpreter specialises what is executed, in the code object itself."""
    application.write(
        "alpha/helper.py",
        "VALUE = 0\ndef add(number):\n    return VALUE + number\n"
        "for number in range(100):\n    VALUE = add(number)\n",
    )
    application.lock()
    outcome = application.run(
        """
        path = 'plugins/alpha/helper.py'
        code = compile(open(path).read(), path, 'exec')
        before = code._co_code_adaptive
        for time in range(50):
            names = {}
            exec(code, names)
        print(code._co_code_adaptive == before, names['VALUE'])
        """
    )
    assert outcome.stdout == "False 4950\n", outcome


def test_an_import_that_does_nothing_ends(application: Application) -> None:
    """Demand importers defer each import."""
    outcome = application.run(
        """
        import builtins, importlib.util, sys
        spec = sys.meta_path[0].find_spec('plugins.alpha')
        now = builtins.__import__
        builtins.__import__ = lambda name, *a: None if name == 'plugins' else now(name, *a)
        try:
            spec.loader.create_module(spec)
        except ImportError as error:
            print(type(error).__name__)
        """
    )
    assert outcome.stdout == "PluginImportRefused\n", outcome


def test_a_folder_that_can_be_entered_and_not_read_hides_nothing(application: Application) -> None:
    """By a relative path, from a working folder that is gone, as one who is not root."""
    outcome = application.run(
        """
        import importlib.util, os, plugins.alpha.api
        with open('plugins/alpha/helper.py', 'a') as file:
            file.write('print("PAYLOAD")')
        os.mkdir('gone')
        os.chdir('gone')
        os.rmdir('../gone')
        os.chmod('../plugins/alpha', 0o311)
        if os.getuid() == 0:
            os.setuid(65534)
        spec = importlib.util.spec_from_file_location('anything', '../plugins/alpha/helper.py')
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except ImportError as error:
            print(type(error).__name__, error.refusal.plugin)
        """,
        environment={"CODEGENIE_PLUGINS_ROOT": "plugins"},
    )
    application.plugin.chmod(0o755)
    assert outcome.stdout == "PluginImportRefused alpha\n", outcome


def test_an_unresolvable_path_runs_nothing(application: Application) -> None:
    """As where there is no ``/proc``."""
    outcome = application.run(
        """
        import importlib.util, os, plugins.alpha.api
        with open('plugins/alpha/helper.py', 'a') as file:
            file.write('print("PAYLOAD")')
        os.mkdir('gone')
        os.chdir('gone')
        os.rmdir('../gone')
        def readlink(path):
            raise OSError(2, 'no such file')
        os.readlink = readlink
        spec = importlib.util.spec_from_file_location('anything', '../plugins/alpha/helper.py')
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except OSError as error:
            print(type(error).__name__)
        """,
        environment={"CODEGENIE_PLUGINS_ROOT": "plugins"},
    )
    assert outcome.stdout == "FileNotFoundError\n", outcome


def test_code_of_a_locked_archive_is_refused_with_a_remedy(application: Application) -> None:
    (application.plugin / "vendor").mkdir()
    with zipfile.ZipFile(application.plugin / "vendor/code.zip", "w") as file:
        file.writestr("package/__init__.py", "")
    application.lock()
    refused = application.run(
        "import os, sys; sys.path.insert(0, os.path.abspath('plugins/alpha/vendor/code.zip'))\n"
        "import package"
    )
    assert "[unverified_code]" in refused.stderr, refused
    assert "fix       unpack vendor/code.zip into a folder of the plugin" in refused.stderr


def test_the_guard_leaves_no_descriptor_open_at_the_end(application: Application) -> None:
    outcome = application.run(
        """
        import os, plugins.alpha.api
        class Resource:
            def __del__(self, make=compile, run=exec, copy=os.dup, close=os.close, put=os.write,
                        outside=os.path.abspath('outside.py')):
                close(before := copy(1))
                run(make('pass', outside, 'exec'), {})
                close(after := copy(1))
                put(1, b'same' if before == after else b'other')
        keep = Resource()
        keep.me = keep
        """
    )
    assert (outcome.stdout, outcome.stderr) == ("same", ""), outcome


def test_a_file_of_a_folder_that_is_loaded_later_is_guarded(application: Application) -> None:
    later = Application(application.folder, "later")
    (application.folder / "outside.py").write_text("")
    outcome = application.run(
        """
        import runpy
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        for folder in 'plugins', 'later':
            load_plugins(Path(folder), Path(folder, 'PLUGINS.lock')).unwrap()
            runpy.run_path('outside.py')  # now the guard knows which folders are guarded
        Path('later/alpha/helper.py').write_text('print("ran")')
        runpy.run_path('later/alpha/helper.py')
        """,
        report=True,
    )
    assert later.root.is_dir()
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch", outcome
    assert "ran" not in outcome.stdout.splitlines()


def test_a_module_outside_may_be_executed_at_the_end(application: Application) -> None:
    outcome = application.run(
        """
        import importlib.machinery, importlib.util, os, plugins.alpha.api

        code = compile('put(1, b"ran")', os.path.abspath('outside.py'), 'exec')

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, name):
                return code

        spec = importlib.util.spec_from_loader('outside', Loader('outside', 'outside.py'))
        module = importlib.util.module_from_spec(spec)
        module.put = os.write

        class Resource:
            def __del__(self, execute=spec.loader.exec_module, module=module):
                execute(module)

        keep = Resource()
        keep.me = keep
        """
    )
    assert (outcome.stdout, outcome.stderr) == ("ran", ""), outcome
