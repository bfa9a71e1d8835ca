"""Native libraries that are opened by ``ctypes`` and ``sqlite3`` behave as without the guard."""

from __future__ import annotations

import os
import sqlite3
import sys
import textwrap
from pathlib import Path

import pytest

from tests.attacks.libraries import EVIL, GOOD, NEEDS, built
from tests.attacks.native import A_COMPILER
from tests.fixtures.trees import Application, Outcome

pytestmark = pytest.mark.skipif(
    not A_COMPILER.available, reason="builds its libraries: needs Linux and a C compiler"
)

COUNTS = "static int n; int count(void) { return ++n; } "
SONAME = "-Wl,-soname,libvalue.so"
ORIGIN = "-Wl,-rpath,$ORIGIN"
MAPPED = "print(sorted({line.split()[-1] for line in open('/proc/self/maps') if 'alpha/' in line}))"


def as_without_the_guard(
    application: Application, script: str, **options: dict[str, str]
) -> Outcome:
    """Run a script unguarded and guarded; what it prints must be the same."""
    plain = application.run(script, guarded=False, **options)  # type: ignore[arg-type]
    assert plain.status == 0, plain
    guarded = application.run(script, **options)  # type: ignore[arg-type]
    assert (guarded.stdout, guarded.stderr) == (plain.stdout, ""), guarded
    return guarded


def chain(application: Application, *names: str) -> Path:
    """Return a library ``libtwice.so`` of the plugin that needs ``libvalue.so`` beside it;
    locked."""
    application.write("alpha/libvalue.so", built(COUNTS + GOOD, *names))
    application.write("alpha/libtwice.so", built(NEEDS, "-lvalue", ORIGIN))
    application.lock()
    return application.plugin / "libtwice.so"


@pytest.mark.parametrize("names", [[SONAME], []], ids=["named", "no soname"])
def test_a_library_finds_what_it_needs_beside_it(
    application: Application, names: list[str]
) -> None:
    chain(application, *names)
    script = "import ctypes\nprint(ctypes.CDLL('plugins/alpha/libtwice.so').twice())\n"
    if not names:
        # Linked against a named library; the one beside it has none.
        application.write("alpha/libtwice.so", built(NEEDS, "-lplain", ORIGIN))
        application.write("alpha/libplain.so", built(GOOD))
        application.lock()
    as_without_the_guard(application, script)
    outcome = application.run(script + MAPPED)
    assert outcome.stdout == "2\n[]\n", outcome  # nothing of the disk is mapped


@pytest.mark.parametrize(
    "spelled",
    [
        "path",
        "os.path.relpath(path)",
        "pathlib.Path(path)",
        "path.replace('/alpha/', '/alpha/../alpha/')",
        "'link.so'",
    ],
)
def test_every_spelling_of_a_path_is_the_same_library(
    application: Application, spelled: str
) -> None:
    library = chain(application, SONAME).parent / "libvalue.so"
    (application.folder / "link.so").symlink_to(library)
    script = f"""
        import ctypes, os, pathlib, sys
        path = {str(library)!r}
        first = ctypes.CDLL(path)
        first.count()
        spelled = {spelled}
        if spelled == 'link.so':
            spelled = './link.so'
        if sys.version_info < (3, 12):
            spelled = os.fspath(spelled)
        for again in range(2):
            other = ctypes.CDLL(spelled)
            print(other.count(), other._handle == first._handle)
        print(first.count())
        """
    as_without_the_guard(application, script)


def test_every_way_of_opening_is_the_same_library(application: Application) -> None:
    chain(application, SONAME)
    as_without_the_guard(
        application,
        """
        import _ctypes, ctypes, os
        path = os.path.abspath('plugins/alpha/libvalue.so')
        made = ctypes.CDLL(path), ctypes.PyDLL(path), ctypes.cdll.LoadLibrary(path)
        made += (ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL), ctypes.CDLL(path, mode=os.RTLD_LAZY))
        print([library.count() for library in made], len({library._handle for library in made}))
        print(_ctypes.dlopen(path, os.RTLD_NOW) == made[0]._handle)
        print(_ctypes.dlopen(os.fsencode(path), os.RTLD_NOW) == made[0]._handle)
        print(ctypes.CDLL(None).count())  # it was opened for all
        """,
    )


def test_code_that_asks_where_it_is_gets_the_original_path(application: Application) -> None:
    source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        const char *where(void) { Dl_info info; dladdr((void *) where, &info); return info.dli_fname; }
    """
    application.write("alpha/libwhere.so", built(source))
    application.lock()
    as_without_the_guard(
        application,
        """
        import ctypes, os
        library = ctypes.CDLL(os.path.abspath('plugins/alpha/libwhere.so'))
        library.where.restype = ctypes.c_char_p
        print(library.where())
        """,
    )


def test_a_name_that_the_environment_finds_in_the_folder_is_a_verified_copy(
    application: Application,
) -> None:
    chain(application)
    path = {"LD_LIBRARY_PATH": str(application.plugin)}
    script = """
        import ctypes
        print(ctypes.CDLL('libvalue.so').count(), ctypes.CDLL('libvalue.so').count())
        print(ctypes.CDLL('libtwice.so').twice())
        """
    as_without_the_guard(application, script, environment=path)
    outcome = application.run(f"{textwrap.dedent(script)}{MAPPED}", environment=path)
    assert outcome.stdout == "1 2\n2\n[]\n", outcome


SYSTEM = "import ctypes; print(ctypes.CDLL('libc.so.6').abs(-3), ctypes.CDLL('libm.so.6') is None)"


@pytest.mark.parametrize("value", ["", "{root}/alpha", ":/nowhere", "plugins", "$ORIGIN/$LIB:x"])
def test_a_library_of_the_system_is_found_by_its_name(application: Application, value: str) -> None:
    path = {"LD_LIBRARY_PATH": value.format(root=application.root)}
    as_without_the_guard(application, SYSTEM, environment=path)


def test_a_library_of_the_system_does_not_need_a_valid_folder(application: Application) -> None:
    """The plugins are not verified for a name that none of them has."""
    application.write("alpha/helper.py", "changed = True")
    path = {"LD_LIBRARY_PATH": str(application.plugin)}
    as_without_the_guard(application, SYSTEM, environment=path)


@pytest.mark.parametrize("name", ["libnot.so", "./libnot.so", "plugins/alpha/libnot.so", "/x/y.so"])
def test_a_library_that_is_not_there_is_an_ordinary_error(
    application: Application, name: str
) -> None:
    script = f"""
        import ctypes
        try:
            ctypes.CDLL({name!r})
        except OSError as error:
            print(type(error).__name__, error)
        """
    for path in ({}, {"LD_LIBRARY_PATH": str(application.plugin)}):
        as_without_the_guard(application, script, environment=path)


@pytest.mark.parametrize(
    "data",
    [
        built("int missing(void); int x(void) { return missing(); }", "-Wl,-z,now")
        if A_COMPILER.available
        else b"",
        b"no library " * 100,
    ],
    ids=["a symbol is missing", "no shared object"],
)
def test_an_error_of_the_linker_names_the_original(application: Application, data: bytes) -> None:
    application.write("alpha/library.so", data)
    application.lock()
    as_without_the_guard(
        application,
        """
        import ctypes
        for again in range(2):
            try:
                ctypes.CDLL('plugins/alpha/library.so')
            except OSError as error:
                print(error)
        """,
    )


def test_libraries_that_need_each_other(application: Application) -> None:
    one = "int two(void); int base(void) { return 5; } int one(void) { return two() + 1; }"
    two = "int base(void); int two(void) { return base() + 1; }"
    folder = application.plugin
    application.write("alpha/libtwo.so", built(two, "-Wl,-soname,libtwo.so"))
    link = (f"-L{folder}", ORIGIN)
    application.write("alpha/libone.so", built(one, *link, "-ltwo", "-Wl,-soname,libone.so"))
    application.write("alpha/libtwo.so", built(two, *link, "-lone", "-Wl,-soname,libtwo.so"))
    application.lock()
    as_without_the_guard(
        application,
        "import ctypes\nfor again in range(2): print(ctypes.CDLL('plugins/alpha/libone.so').one())",
    )


NO_SEALED_MEMORY = "import os; del os.memfd_create\n"
NO_WRITING = """
import builtins, os
plain = os.access
os.access = lambda path, *rest: path != '/proc/self/mem' and plain(path, *rest)
"""


@pytest.mark.parametrize("without", [NO_SEALED_MEMORY, NO_WRITING], ids=["memfd", "mem"])
def test_a_library_works_without_a_private_copy(application: Application, without: str) -> None:
    chain(application, SONAME)
    script = (
        "import ctypes\n"
        "for again in range(2): print(ctypes.CDLL('plugins/alpha/libtwice.so').twice())\n"
        "print(ctypes.CDLL('plugins/alpha/libvalue.so').count())"
    )
    outcome = application.run(without + script)
    assert outcome.stdout == "2\n2\n1\n", outcome
    application.write("alpha/libvalue.so", built(EVIL, SONAME))
    outcome = application.run(without + script, report=True)
    assert (outcome.refusal["rejection"]["kind"], outcome.executed) == ("integrity_mismatch", ())


def test_audit_mode_opens_what_is_there_and_reports(application: Application) -> None:
    chain(application, SONAME)
    application.write("alpha/libvalue.so", built("int value(void) { return 21; }", SONAME))
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard, ctypes
        print(ctypes.CDLL('plugins/alpha/libtwice.so').twice())
        print([(r.kind, r.plugin) for r in guard.status().refused])
        """,
        environment={"CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.stdout == "42\n[('integrity_mismatch', 'alpha')]\n", outcome


def test_one_plugin_may_use_a_library_of_another(application: Application) -> None:
    """As vendored libraries of several packages are in one folder."""
    application.write("beta/libvalue.so", built(GOOD, SONAME))
    application.write("alpha/libtwice.so", built(NEEDS, "-lvalue", f"{ORIGIN}/../beta"))
    application.lock()
    script = "import ctypes; print(ctypes.CDLL('plugins/alpha/libtwice.so').twice())"
    as_without_the_guard(application, script)
    application.write("beta/libvalue.so", built(EVIL, SONAME))
    outcome = application.run(script, report=True)
    assert outcome.refusal["rejection"]["plugin"] == "beta"
    assert outcome.executed == ()


def test_a_library_that_was_changed_after_it_was_loaded_is_refused(
    application: Application,
) -> None:
    chain(application, SONAME)
    outcome = application.run(
        """
        import ctypes
        ctypes.CDLL('plugins/alpha/libvalue.so')
        os_free = open('plugins/alpha/libvalue.so', 'ab'); os_free.write(b'x'); os_free.close()
        ctypes.CDLL('plugins/alpha/libvalue.so')
        """,
        report=True,
    )
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"


@pytest.mark.parametrize("second", ["path", "os.path.abspath(path)"], ids=["one name", "two"])
def test_threads_open_a_library_at_once(application: Application, second: str) -> None:
    chain(application)
    script = f"""
        import ctypes, os, sys, threading
        sys.setswitchinterval(1e-6)
        path = 'plugins/alpha/libtwice.so'
        found = []
        def load(name):
            for again in range(50):
                found.append(ctypes.CDLL(name)._handle)
        names = [path, {second}] * 2
        threads = [threading.Thread(target=load, args=[name]) for name in names]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(found), len(set(found)))
        """
    as_without_the_guard(application, script)


@pytest.mark.parametrize(
    ("event", "before"),
    [
        (("open", "/proc/self/mem"), ""),
        (("fcntl.fcntl",), ""),
        (("tempfile.mkdtemp",), "del os.memfd_create"),
    ],
    ids=["name", "sealed memory", "private folder"],
)
def test_one_thread_at_a_time_makes_a_copy_and_names_it(
    application: Application, event: tuple[str, ...], before: str
) -> None:
    """Another thread cannot take the lock at the event that this raises."""
    chain(application, SONAME)
    outcome = application.run(
        f"""
        import ctypes, fcntl, os, sys, tempfile, threading
        {before}
        from codegenie._enforce.private_copies import one_at_a_time
        free = []
        def try_it():
            free.append(one_at_a_time.acquire(blocking=False))
        def hook(event, arguments):
            if (event, *map(str, arguments))[:{len(event)}] == {event}:
                thread = threading.Thread(target=try_it)
                thread.start()
                thread.join()
        sys.addaudithook(hook)
        ctypes.CDLL('plugins/alpha/libvalue.so')
        print(set(free))
        """
    )
    assert outcome.stdout == "{False}\n", outcome


def test_a_name_stays_until_the_linker_looks_for_it(application: Application) -> None:
    """Other code opens the library by another name between the guard's check and the linker."""
    chain(application, SONAME)
    script = """
        import ctypes, os, sys
        path = 'plugins/alpha/libvalue.so'
        others = [os.path.abspath(path), './plugins/alpha/libvalue.so']
        found = []
        def open_by_others(event, arguments):
            if event == 'ctypes.dlopen' and arguments == (path,):
                found.extend(ctypes.CDLL(other)._handle for other in others)
        sys.addaudithook(open_by_others)
        found += [ctypes.CDLL(path)._handle for again in range(2)]
        print(len(set(found)))
        """
    as_without_the_guard(application, script)
    outcome = application.run(textwrap.dedent(script) + MAPPED)
    assert outcome.stdout == "1\n[]\n", outcome  # the linker opened nothing of the disk


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older interpreters have another module")
@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_interpreters_of_a_process_share_a_library(application: Application, kind: str) -> None:
    chain(application, SONAME)
    use = """
import ctypes
print(ctypes.CDLL('plugins/alpha/libtwice.so').twice(), end=' ')
print(ctypes.CDLL('plugins/alpha/libvalue.so').count(), flush=True)
"""
    for first in ("", "import codegenie.plugins.guard"):
        outcome = application.run(
            f"""
            import _interpreters
            first, use = {first!r}, {use!r}
            exec(first); exec(use)
            other = _interpreters.create({kind!r})
            for again in range(2):
                failed = _interpreters.run_string(other, first + use)
                assert failed is None, failed.formatted
            _interpreters.destroy(other)
            """,
            guarded=False,
        )
        assert (outcome.stdout, outcome.stderr) == ("2 1\n2 2\n2 3\n", ""), outcome


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "enable_load_extension"),
    reason="the sqlite3 module of this Python cannot load extensions",
)
@pytest.mark.parametrize("name", ["plugins/alpha/double", "plugins/alpha/double.so"])
def test_sqlite_finds_an_extension_with_and_without_its_ending(
    application: Application, name: str
) -> None:
    """An entry point that does nothing needs no header of SQLite."""
    application.write("alpha/double.so", built("int sqlite3_extension_init(void) { return 0; }"))
    application.lock()
    as_without_the_guard(
        application,
        f"""
        import sqlite3
        connection = sqlite3.connect(':memory:')
        connection.enable_load_extension(True)
        connection.load_extension({name!r})
        for missing in ('plugins/alpha/not', 'not'):
            try:
                connection.load_extension(missing)
            except sqlite3.OperationalError as error:
                print('OperationalError', 'cannot open shared object file' in str(error))
        """,
    )


def test_loading_the_checks_is_not_checked_by_itself(application: Application) -> None:
    """Extension modules that the guard itself needs are looked for on the same search path."""
    outcome = application.run(
        "import plugins.alpha.api, ssl, ctypes, sqlite3; print(plugins.alpha.api.answer())",
        environment={"LD_LIBRARY_PATH": f"{application.plugin}:{os.path.dirname(sys.executable)}"},
    )
    assert (outcome.stdout, outcome.stderr) == ("42\n", ""), outcome
