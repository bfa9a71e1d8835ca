"""Native libraries behind native libraries, and names that the dynamic linker looks for."""

from __future__ import annotations

import functools
import os
import re
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from tests.attacks.attack import Attack, Closed, Ignored, Need, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, compiler, machine_code
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch")
CHANGED_SINCE = Refused("integrity_mismatch", says="changed   lib", tree_as_it_is=False)
NO_SUCH_FILE = Closed(says="cannot open shared object file", raised="OSError")

GOOD = "int value(void) { return 1; }"
EVIL = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void payload(void)
{
    FILE *witness = fopen(getenv("WITNESS"), "a");
    fputs("PAYLOAD\\n", witness);
    fclose(witness);
}
int value(void) { return 2; }
"""
NEEDS = "int value(void); int twice(void) { return 2 * value(); }"

ON_THE_PATH = {"LD_LIBRARY_PATH": "plugins/alpha"}

# Attack at the worst moment: after the check, before the linker opens the file. A
# later audit hook of the process is called there.
AFTER_THE_CHECK = """
    import ctypes, os, shutil, sys
    def exchange(event, args):
        if event != 'ctypes.dlopen' or sys._getframe(1).f_globals['__name__'] != 'ctypes':
            return
        if {name!r} in str(args[0]):
            shutil.copy('evil.so', 'plugins/alpha/{name}.new')
            os.replace('plugins/alpha/{name}.new', 'plugins/alpha/{name}')

    import plugins.alpha.api
    sys.addaudithook(exchange)
    ctypes.CDLL({opened!r})
    """


@functools.cache
def built(source: str, *options: str) -> bytes:
    """Return a shared object. ``-lvalue`` finds an honest ``libvalue.so`` with a name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "-lvalue" in options or "-lplain" in options:
            (folder / "libvalue.so").write_bytes(built(GOOD, "-Wl,-soname,libvalue.so"))
            (folder / "libplain.so").write_bytes(built(GOOD))
        (folder / "x.c").write_text(source)
        command = [compiler(), "-shared", "-fPIC", "x.c", f"-L{folder}", *options, "-o", "x.so"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        return (folder / "x.so").read_bytes()


def chain(application: Application) -> None:
    """Prepare a library that needs another one of its folder, and the attacker's replacement."""
    origin = "-Wl,-rpath,$ORIGIN"
    application.write("alpha/libvalue.so", built(GOOD, "-Wl,-soname,libvalue.so"))
    application.write("alpha/libplain.so", built(GOOD))
    application.write("alpha/libtwice.so", built(NEEDS, "-lvalue", origin))
    application.write("alpha/libneedsplain.so", built(NEEDS, "-lplain", origin))
    application.lock()
    (application.folder / "evil.so").write_bytes(built(EVIL, "-Wl,-soname,libvalue.so"))


def needed_changed(application: Application) -> None:
    chain(application)
    application.write("alpha/libvalue.so", built(EVIL, "-Wl,-soname,libvalue.so"))


def outside_needs_changed(application: Application) -> None:
    needed_changed(application)
    search = "-Wl,-rpath,$ORIGIN/plugins/alpha"
    (application.folder / "outside.so").write_bytes(built(NEEDS, "-lvalue", search))


def link_on_the_path(application: Application) -> None:
    needed_changed(application)
    (application.folder / "lib").mkdir()
    (application.folder / "lib" / "libvalue.so").symlink_to("../plugins/alpha/libvalue.so")


def extension_outside(application: Application) -> None:
    """Prepare an extension module of the application, whose library is looked for on the search
    path."""
    chain(application)
    application.write("alpha/libvalue.so", built(EVIL, "-Wl,-soname,libvalue.so"))
    source = "int value(void); void *PyInit_outside(void) { value(); return 0; }"
    (application.folder / f"outside{SUFFIX}").write_bytes(built(source, "-lvalue"))


def named_by_the_platform(application: Application) -> None:
    needed_changed(application)
    for platform in (os.uname().machine, "haswell", "xeon_phi"):
        (application.folder / platform).symlink_to("plugins/alpha")


def added_for_sqlite(application: Application) -> None:
    application.write("alpha/extra.so", machine_code())


SQLITE = Need(
    "a sqlite3 module that can load extensions, and a C compiler",
    A_COMPILER.available and hasattr(sqlite3.Connection, "enable_load_extension"),
)


def systems_libc() -> bool:
    """Return True if the linker searches the system's folders, for glibc, after the others.

    A Python that brings a linker of its own may search the folders beside that one first.
    """
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return False
    return re.search(r" (/usr)?/lib[^ ]*/libc\.so\.6$", maps, re.MULTILINE) is not None


OF_THE_SYSTEM = Need(
    "the system's own glibc and a C compiler", A_COMPILER.available and systems_libc()
)

ATTACKS = (
    Attack(
        "libraries/needed",
        "ctypes.CDLL on a verified library that needs a changed one of its folder.",
        CHANGED_SINCE,
        """
        import ctypes, os, plugins.alpha.api
        os.replace('evil.so', 'plugins/alpha/libvalue.so')
        ctypes.CDLL('plugins/alpha/libtwice.so')
        """,
        chain,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/needed-without-name",
        "The changed library has no DT_SONAME, by which the linker knows a loaded one.",
        CHANGED_SINCE,
        """
        import ctypes, os, plugins.alpha.api
        os.replace('evil.so', 'plugins/alpha/libplain.so')
        ctypes.CDLL('plugins/alpha/libneedsplain.so')
        """,
        chain,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/needed-from-outside",
        "A library of the application needs a changed one of the plugin folder.",
        MISMATCH,
        "import ctypes; ctypes.CDLL('./outside.so')",
        outside_needs_changed,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/by-name",
        "ctypes.CDLL on a bare name; the library path of the environment leads into the folder.",
        MISMATCH,
        "import ctypes; ctypes.CDLL('libvalue.so')",
        needed_changed,
        environment=ON_THE_PATH,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/by-name-through-a-link",
        "The library path leads elsewhere, where a link leads to a changed file of the folder.",
        MISMATCH,
        "import ctypes; ctypes.CDLL('libvalue.so')",
        link_on_the_path,
        environment={"LD_LIBRARY_PATH": "/nowhere;lib"},
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/by-name-at-the-end",
        "The same while the interpreter ends, when nothing can be compared.",
        Ignored("plugins.alpha.api"),
        """
        import ctypes, plugins.alpha.api, shutil
        shutil.copy('evil.so', 'plugins/alpha/libvalue.so')
        class AtTheEnd:
            def __del__(self, load=ctypes._dlopen):
                load('libvalue.so', 2)
        import sys
        sys.at_the_end = AtTheEnd()
        """,
        chain,
        environment=ON_THE_PATH,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/working-folder",
        "An empty entry of the library path is the working folder, which is the plugin's.",
        MISMATCH,
        "import ctypes, os; os.chdir('plugins/alpha'); ctypes.CDLL('libvalue.so')",
        needed_changed,
        settings={"root": "plugins"},
        environment={"LD_LIBRARY_PATH": "/nowhere:"},
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/extension-outside",
        "An extension module of the application finds its library in the plugin folder.",
        MISMATCH,
        "import outside",
        extension_outside,
        environment=ON_THE_PATH,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/exchanged",
        "A verified library is exchanged after it was compared, before the linker opens it.",
        Ignored("plugins.alpha.api"),
        AFTER_THE_CHECK.format(name="libvalue.so", opened="plugins/alpha/libvalue.so"),
        chain,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/exchanged-beside-another-name",
        "Other code opens it by a second name at that moment, so the linker knows two names.",
        Ignored("plugins.alpha.api"),
        """
        import ctypes, os, plugins.alpha.api, sys
        path = 'plugins/alpha/libvalue.so'
        def beside(event, arguments):
            if event != 'ctypes.dlopen' or sys._getframe(1).f_globals['__name__'] != 'ctypes':
                return
            if arguments == (path,):
                ctypes.CDLL(os.path.abspath(path))
                os.replace('evil.so', path)
        sys.addaudithook(beside)
        ctypes.CDLL(path)
        """,
        chain,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/appears",
        "A library appears on the search path after it was looked for, before the linker looks.",
        NO_SUCH_FILE,
        AFTER_THE_CHECK.format(name="libnew.so", opened="libnew.so"),
        chain,
        environment=ON_THE_PATH,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/appears-before-the-systems",
        "A library with the name of one of the system appears on the search path at that moment.",
        Ignored("plugins.alpha.api"),
        AFTER_THE_CHECK.format(name="libBrokenLocale.so.1", opened="libBrokenLocale.so.1"),
        chain,
        environment=ON_THE_PATH,
        needs=OF_THE_SYSTEM,
    ),
    Attack(
        "libraries/appears-in-the-folder",
        "A library appears under the path by which it is opened, after it was looked for.",
        NO_SUCH_FILE,
        AFTER_THE_CHECK.format(name="libnew.so", opened="plugins/alpha/libnew.so"),
        chain,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/platform",
        "A path with a part that only the linker can resolve.",
        Refused("unverified_code", plugin="plugins", says="$PLATFORM"),
        "import ctypes; ctypes.CDLL('./$PLATFORM/libvalue.so')",
        named_by_the_platform,
        needs=A_COMPILER,
    ),
    Attack(
        "libraries/sqlite-ending",
        "sqlite3 opens a file that was added, whose ending it adds by itself.",
        MISMATCH,
        """
        import sqlite3
        connection = sqlite3.connect(':memory:')
        connection.enable_load_extension(True)
        connection.load_extension('plugins/alpha/extra')
        """,
        added_for_sqlite,
        needs=SQLITE,
    ),
)
