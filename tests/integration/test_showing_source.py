"""Tools that only show code: they show the verified source or none, and refuse and report
nothing."""

from __future__ import annotations

import pytest

from tests.fixtures.trees import Application

SOURCE = """\
def fail(depth=0):
    locked_line = 1 / 0

def in_a_thread():
    import threading
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
"""

CHANGE = """
import plugins.alpha.shown as shown
path = shown.__file__
with open(path) as file:
    before = file.read()
with open(path, 'w') as file:
    file.write(before.replace('locked_line', 'edited_line'))
"""


def prepare(application: Application) -> None:
    application.write("alpha/shown.py", SOURCE)
    application.lock()


SHOW = {
    "inspect": "import inspect; print(inspect.getsource(shown.fail))",
    "linecache": "import linecache; print(linecache.getlines(path))",
    "linecache with globals": "import linecache; print(linecache.getlines(path, vars(shown)))",
    "cleared": """
import inspect, linecache
linecache.clearcache()
print(inspect.getsource(shown.fail))
""",
    "one entry removed": """
import linecache
linecache.getlines(path)
linecache.cache.pop(path, None)
print(linecache.getlines(path))
""",
    "updated": "import linecache; print(linecache.updatecache(path))",
    "loader": "print(shown.__loader__.get_source('plugins.alpha.shown'))",
    "a traceback": """
import traceback
try:
    shown.fail()
except ZeroDivisionError:
    traceback.print_exc()
""",
    "the text of a warning": """
import warnings
warnings.simplefilter('always')
warnings.warn_explicit('text', UserWarning, path, 2)
""",
    "an uncaught exception": "shown.fail()",
    "an exception in a thread": "shown.in_a_thread()",
    "by a link": """
import linecache, os
os.symlink('plugins/alpha', 'link')
print(linecache.getlines('link/shown.py'))
""",
    "a debugger": """
import pdb, io
debugger = pdb.Pdb(stdin=io.StringIO('list\\nq\\n'), nosigint=True, readrc=False)
try:
    debugger.runcall(shown.fail)
except Exception as error:
    print(type(error).__name__)
""",
}

VERIFIED = "import plugins.alpha.shown as shown\npath = shown.__file__\n"


@pytest.mark.parametrize("settings", [{}, {"on_refusal": "exit"}, {"strict": "False"}])
@pytest.mark.parametrize("show", SHOW.values(), ids=SHOW.keys())
def test_a_changed_file_shows_no_source_and_refuses_nothing(
    application: Application, show: str, settings: dict[str, str]
) -> None:
    prepare(application)
    given = ", ".join(
        f"{name}={value if value == 'False' else repr(value)}" for name, value in settings.items()
    )
    # inspect says that there is no source by an OSError.
    handled = f"try:\n{_indented(show)}\nexcept OSError as error:\n    print('no source')\n"
    outcome = application.run(f"codegenie.plugins.guard.install({given})\n{CHANGE}\n{handled}")
    said = outcome.stdout + outcome.stderr
    assert "edited_line" not in said, outcome
    assert "refused" not in said, outcome
    assert outcome.status == (1 if show == SHOW["an uncaught exception"] else 0), outcome


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines())


@pytest.mark.parametrize("show", SHOW.values(), ids=SHOW.keys())
def test_an_intact_file_is_shown_as_in_plain_python(application: Application, show: str) -> None:
    prepare(application)
    plain = application.run(VERIFIED + show, guarded=False)
    (application.folder / "link").unlink(missing_ok=True)
    guarded = application.run(VERIFIED + show)
    for outcome in (plain, guarded):
        assert "locked_line" in outcome.stdout + outcome.stderr, outcome
    assert plain.stdout == guarded.stdout
    # The command that is run has one line more when it is guarded.
    assert _without_numbers(plain.stderr) == _without_numbers(guarded.stderr)


def _without_numbers(text: str) -> list[str]:
    return [line for line in text.splitlines() if '"<string>"' not in line]


def test_nothing_is_reported_when_a_changed_file_is_shown(application: Application) -> None:
    prepare(application)
    outcome = application.run(
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        + CHANGE
        + "import inspect, linecache\n"
        "print(shown.__loader__.get_source(shown.__name__), linecache.getlines(path))\n"
        "print(codegenie.plugins.guard.status().refused)"
    )
    assert outcome.stdout.splitlines() == ["None []", "()"], outcome
    assert "ERROR" not in outcome.stderr


def test_a_removed_file_has_no_source(application: Application) -> None:
    prepare(application)
    outcome = application.run(
        "import os, linecache, plugins.alpha.shown as shown\nos.unlink(shown.__file__)\n"
        "print(linecache.getlines(shown.__file__, vars(shown)))\n"
        "print(shown.__loader__.get_source(shown.__name__))"
    )
    assert outcome.stdout.splitlines() == ["[]", "None"], outcome


def test_audit_mode_shows_the_file_that_runs(application: Application) -> None:
    prepare(application)
    script = f"""{CHANGE}
import importlib, inspect
importlib.reload(shown)
print(inspect.getsource(shown.fail))
print(shown.__loader__.get_source(shown.__name__))
"""
    plain = application.run(script, guarded=False)
    prepare(application)
    audited = application.run(script, environment={"CODEGENIE_GUARD_MODE": "audit"})
    assert "edited_line" in plain.stdout
    assert audited.stdout == plain.stdout, audited


def test_the_line_of_a_syntax_error_is_the_compiled_one(application: Application) -> None:
    """The compiler reads the line from the file, which may have changed since it was read."""
    application.write("alpha/broken.py", "locked_line = 1\nreturn locked_line\n")
    application.lock()
    outcome = application.run(
        """
        import plugins.alpha
        from codegenie.integrity import reading
        real = reading.read_exactly
        def read_then_change(descriptor, size):
            data = real(descriptor, size)
            with open('plugins/alpha/broken.py', 'w') as file:
                file.write('\\nedited_line\\n')
            return data
        reading.read_exactly = read_then_change
        try:
            import plugins.alpha.broken
        except SyntaxError as error:
            print(error.lineno, error.text)
        """
    )
    assert outcome.stdout.strip() == "2 None", outcome


def test_a_program_that_reads_sources_reads_the_disk(application: Application) -> None:
    """Formatters and linters open files by tokenize. They work on what is there."""
    prepare(application)
    outcome = application.run(
        CHANGE + "import tokenize\n"
        "with tokenize.open(path) as file:\n    print('edited_line' in file.read())\n"
        "with open(path) as file:\n    print('edited_line' in file.read())"
    )
    assert outcome.stdout.split() == ["True", "True"], outcome


def test_an_entry_of_linecache_is_an_ordinary_tuple(application: Application) -> None:
    prepare(application)
    outcome = application.run(
        VERIFIED + "import linecache\nlinecache.getlines(path)\n"
        "size, mtime, lines, name = linecache.cache[path]\nprint(len(lines), name == path)"
    )
    assert outcome.stdout.split() == [str(len(SOURCE.splitlines())), "True"], outcome


def test_loading_a_plugin_loads_neither_linecache_nor_re(application: Application) -> None:
    outcome = application.run(
        "import sys\nbefore = set(sys.modules)\nimport plugins.alpha.api\n"
        "print(sorted({'linecache', 're', 'tokenize'} & (set(sys.modules) - before)))"
    )
    assert outcome.stdout.strip() == "[]", outcome
