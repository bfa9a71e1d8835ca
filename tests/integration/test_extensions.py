"""Extension modules run from a private copy of the verified bytes, libraries of the tree too."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.fixtures.machine_code import COMPILER, header_options
from tests.fixtures.trees import Application

pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux",
    reason="builds its extension modules: needs Linux and a C compiler",
)

MODULE = """\
#include <Python.h>
int value(void);
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(value()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, 0}, {0}};
"""
SINGLE_PHASE = """
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "NAME", 0, -1, methods};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&definition); }
"""
MULTI_PHASE = """
static int run(PyObject *module) { return PyModule_AddIntConstant(module, "RAN", 1); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, run}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "NAME", 0, 0, methods, slots};
PyMODINIT_FUNC PyInit_NAME(void) { return PyModuleDef_Init(&definition); }
"""
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def cc(*arguments: object) -> None:
    command = [str(COMPILER), "-shared", "-fPIC", *header_options(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def value(folder: Path, number: int) -> Path:
    """Return the C source of the function that every module here calls."""
    path = folder / f"value{number}.c"
    path.write_text(f"int value(void) {{ return {number}; }}\n")
    return path


def build(application: Application, name: str, phase: str, *link: object) -> Path:
    source = application.folder / f"{name}.c"
    source.write_text(MODULE + phase.replace("NAME", name))
    target = application.plugin / f"{name}{SUFFIX}"
    target.parent.mkdir(parents=True, exist_ok=True)
    cc(source, *link, "-o", target)
    return target


SHOW = """
import plugins.alpha.{name} as m
print(m.answer(), m.__name__, m.__file__, m.__spec__.origin, m.__package__,
      m.__spec__.has_location, m.__spec__.cached, getattr(m, '__cached__', '-'), m.__loader__.is_package(m.__name__),
      m.__loader__.get_source(m.__name__), m.__loader__.get_filename(m.__name__), sorted(vars(m)))
import sys, importlib
del sys.modules[m.__name__]
print(importlib.import_module(m.__name__).answer())
"""


@pytest.mark.parametrize("phase", [SINGLE_PHASE, MULTI_PHASE], ids=["single", "multi"])
def test_it_behaves_as_without_the_guard(application: Application, phase: str) -> None:
    build(application, "native", phase, value(application.folder, 1))
    application.lock()
    plain = application.run(SHOW.format(name="native"), guarded=False, flags=["-B"])
    assert plain.status == 0, plain
    guarded = application.run(SHOW.format(name="native"), flags=["-B"])
    assert (guarded.stdout, guarded.stderr) == (plain.stdout, ""), guarded


def test_the_disk_is_not_what_is_mapped(application: Application) -> None:
    build(application, "native", MULTI_PHASE, value(application.folder, 1))
    application.lock()
    outcome = application.run(
        """
        import plugins.alpha.native as m
        maps = open('/proc/self/maps').read()
        print('/plugins/alpha/' in maps, '/memfd:native' in maps)
        """
    )
    assert outcome.stdout == "False True\n", outcome


def test_a_sealed_copy_cannot_be_changed(application: Application) -> None:
    build(application, "native", MULTI_PHASE, value(application.folder, 1))
    application.lock()
    outcome = application.run(
        """
        import os, plugins.alpha.native as m
        for fd in os.listdir('/proc/self/fd'):
            try:
                if 'memfd:native' in os.readlink(f'/proc/self/fd/{fd}'):
                    os.pwrite(int(fd), b'x', 0)
            except OSError as error:
                print(type(error).__name__, error.errno)
        """
    )
    assert "PermissionError 1\n" in outcome.stdout, outcome


def test_an_exchanged_module_is_refused(application: Application) -> None:
    target = build(application, "native", MULTI_PHASE, value(application.folder, 1))
    application.lock()
    kept = target.read_bytes()
    build(application, "native", MULTI_PHASE, value(application.folder, 666))
    evil = application.folder / "evil.so"
    shutil.move(target, evil)
    target.write_bytes(kept)
    script = f"""
        import os, plugins.alpha
        os.replace({str(evil)!r}, {str(target)!r})
        import plugins.alpha.native as m
        print(m.answer())
        """
    saved = evil.read_bytes()
    assert application.run(script, guarded=False).stdout == "666\n"
    evil.write_bytes(saved)
    target.write_bytes(kept)
    outcome = application.run(script, report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert f"changed   {target.name}" in outcome.refusal["message"]


# --- libraries of the tree ----------------------------------------------------------------------

# The way in which the module finds its library in the plugin's own folder ``lib``, and whether the
# library has a DT_SONAME.
HONEST = {
    "by $ORIGIN": ("-Wl,-rpath,$ORIGIN/lib", True),
    "by $ORIGIN, no soname": ("-Wl,-rpath,$ORIGIN/lib", False),
    "by an RPATH": ("-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib", True),
    "by its absolute place": ("-Wl,-rpath,{lib}", True),
}
BY_PATH = {
    "absolute place, no soname": ("-Wl,-rpath,{lib}", False),
    "relative place, no soname": ("-Wl,-rpath,plugins/alpha/lib", False),
}


def link(application: Application, search: str, soname: bool, number: int = 7) -> Path:
    """Build the library and a module that needs it; lock both."""
    folder = application.plugin / "lib"
    folder.mkdir(exist_ok=True)
    library = folder / "libanswer.so"
    name = ["-Wl,-soname,libanswer.so"] if soname else []
    cc(value(application.folder, number), *name, "-o", library)
    options = [f"-L{folder}", "-lanswer", search.format(lib=folder)]
    build(application, "linked", MULTI_PHASE, *options)
    application.lock()
    return library


LINKED = "import plugins.alpha.linked as m; print(m.answer())"


@pytest.mark.parametrize(("search", "soname"), HONEST.values(), ids=HONEST.keys())
def test_a_library_of_the_tree_is_found(
    application: Application, search: str, soname: bool
) -> None:
    link(application, search, soname)
    assert application.run(LINKED, guarded=False).stdout == "7\n"
    outcome = application.run(
        LINKED + "\nprint('/plugins/alpha/' in open('/proc/self/maps').read())"
    )
    assert outcome.stdout == "7\nFalse\n", outcome


@pytest.mark.parametrize(
    ("search", "soname"), {**HONEST, **BY_PATH}.values(), ids={**HONEST, **BY_PATH}.keys()
)
def test_an_exchanged_library_does_not_run(
    application: Application, search: str, soname: bool
) -> None:
    library = link(application, search, soname)
    kept = library.read_bytes()
    evil = application.folder / "evil.so"
    cc(value(application.folder, 666), "-Wl,-soname,libanswer.so", "-o", evil)
    code = evil.read_bytes()
    script = f"""
        import plugins.alpha, pathlib
        pathlib.Path({str(library)!r}).unlink()
        pathlib.Path({str(library)!r}).write_bytes({code!r})
        {LINKED}
        """
    assert application.run(script, guarded=False).stdout == "666\n"
    library.unlink()
    library.write_bytes(kept)
    outcome = application.run(script, report=True)
    assert outcome.refusal["rejection"]["kind"] in ("integrity_mismatch", "unhashable_tree")
    assert "666" not in outcome.stdout.splitlines()


@pytest.mark.parametrize(("search", "soname"), BY_PATH.values(), ids=BY_PATH.keys())
def test_a_library_that_only_a_path_can_find_is_refused(
    application: Application, search: str, soname: bool
) -> None:
    link(application, search, soname)
    outcome = application.run(LINKED, report=True)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"
    assert "link it by $ORIGIN" in outcome.refusal["rejection"]["detail"]


def test_a_library_path_of_the_environment_into_the_folder_is_no_way_in(
    application: Application,
) -> None:
    library = link(application, "-Wl,-z,lazy", False)
    variables = {"LD_LIBRARY_PATH": str(library.parent)}
    assert application.run(LINKED, guarded=False, environment=variables).stdout == "7\n"
    outcome = application.run(LINKED, report=True, environment=variables)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"


@pytest.mark.parametrize("value_of", ["{lib}", "/nowhere;{lib}", "plugins/alpha/lib"])
def test_a_library_path_from_the_start_counts_after_removal(
    application: Application, value_of: str
) -> None:
    """glibc goes by the environment that the process started with."""
    library = link(application, "-Wl,-z,lazy", False)
    variables = {"LD_LIBRARY_PATH": value_of.format(lib=library.parent)}
    script = f"import os; del os.environ['LD_LIBRARY_PATH']\n{LINKED}"
    assert application.run(script, guarded=False, environment=variables).stdout == "7\n"
    outcome = application.run(script, report=True, environment=variables)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"


@pytest.mark.parametrize("search", ["{lib}/$LIB", "$ORIGIN/${{PLATFORM}}"])
def test_a_place_that_only_the_linker_knows_is_refused(
    application: Application, search: str
) -> None:
    link(application, f"-Wl,-rpath,{search}", True)
    outcome = application.run("import plugins.alpha.linked", report=True)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"


def test_a_variant_for_the_processor_is_refused_where_a_path_finds_it(
    application: Application,
) -> None:
    library = link(application, "-Wl,-rpath,{lib}", False)
    variant = library.parent / "glibc-hwcaps" / "x86-64-v2"
    variant.mkdir(parents=True)
    library.rename(variant / library.name)
    application.lock()
    outcome = application.run("import plugins.alpha.linked", report=True)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"


def test_a_mirror_is_no_place_for_a_library_that_a_path_finds(application: Application) -> None:
    """Without memory to execute, the linker would open the absolute path after all."""
    link(application, "-Wl,-rpath,{lib}", True)
    no_memory = "import os\ndel os.memfd_create\n"
    assert application.run(LINKED).stdout == "7\n"
    outcome = application.run(no_memory + LINKED, report=True)
    assert outcome.refusal["rejection"]["kind"] == "unhashable_tree"


def test_libraries_that_need_each_other(application: Application) -> None:
    folder = application.plugin / "lib"
    folder.mkdir()
    one, two = application.folder / "one.c", application.folder / "two.c"
    one.write_text(
        "int two(void); int value(void) { return two() + 1; } int base(void) { return 5; }"
    )
    two.write_text("int base(void); int two(void) { return base() + 1; }")
    origin = "-Wl,-rpath,$ORIGIN"
    cc(two, "-Wl,-soname,libtwo.so", "-o", folder / "libtwo.so")
    cc(one, f"-L{folder}", "-ltwo", origin, "-Wl,-soname,libone.so", "-o", folder / "libone.so")
    cc(two, f"-L{folder}", "-lone", origin, "-Wl,-soname,libtwo.so", "-o", folder / "libtwo.so")
    build(application, "linked", MULTI_PHASE, f"-L{folder}", "-lone", "-Wl,-rpath,$ORIGIN/lib")
    application.lock()
    assert application.run(LINKED, guarded=False).stdout == "7\n"
    outcome = application.run(LINKED)
    assert outcome.stdout == "7\n", outcome


def test_a_library_that_is_missing_is_an_ordinary_import_error(application: Application) -> None:
    library = link(application, "-Wl,-rpath,$ORIGIN/lib", True)
    library.unlink()
    application.lock()
    outcome = application.run(
        "try:\n    import plugins.alpha.linked\n"
        "except ImportError as error:\n    print(type(error).__name__, 'libanswer' in str(error))"
    )
    assert outcome.stdout == "ImportError True\n", outcome


def test_an_error_of_the_linker_names_the_file_of_the_plugin(application: Application) -> None:
    target = build(application, "native", MULTI_PHASE)  # nothing defines value()
    application.lock()
    script = (
        "try:\n    import plugins.alpha.native\n"
        "except ImportError as error:\n    print(error.path, error.args)"
    )
    plain = application.run(script, guarded=False)
    assert plain.stdout.startswith(f"{target} ('{target}: undefined symbol"), plain
    assert application.run(script).stdout == plain.stdout


def test_a_library_outside_the_plugin_folder_is_the_systems(application: Application) -> None:
    """Found by $ORIGIN, which for a copy in memory would be somewhere else."""
    outside = application.folder / "shared"
    outside.mkdir()
    name = "-Wl,-soname,libanswer.so"
    cc(value(application.folder, 7), name, "-o", outside / "libanswer.so")
    search = "-Wl,-rpath,$ORIGIN/../../shared"
    build(application, "linked", MULTI_PHASE, f"-L{outside}", "-lanswer", search)
    application.lock()
    outcome = application.run(LINKED)
    assert outcome.stdout == "7\n", outcome


def test_what_is_loaded_is_what_was_hashed_whatever_library_functions_become(
    application: Application,
) -> None:
    """The functions that read, hash and write the copy were bound before an attacker could replace
    them."""
    target = build(application, "native", MULTI_PHASE, value(application.folder, 1))
    application.lock()
    kept = target.read_bytes()
    build(application, "native", MULTI_PHASE, value(application.folder, 666))
    evil = application.folder / "evil.so"
    shutil.move(target, evil)
    target.write_bytes(kept)
    outcome = application.run(
        f"""
        import mmap, os, plugins.alpha
        evil = open({str(evil)!r}, 'rb').read()
        genuine = open({str(target)!r}, 'rb').read()
        write = os.write
        def other(out, *arguments):
            return write(out, evil)
        os.write = os.sendfile = os.copy_file_range = other
        mmap.mmap = lambda *arguments, **options: genuine
        import plugins.alpha.native as m
        print(m.answer())
        """
    )
    assert outcome.stdout == "1\n", outcome


def test_a_closed_descriptor_is_no_other_module(
    application: Application,
) -> None:
    """``dlopen`` would take the second module for the first: their paths would be the same."""
    build(application, "one", MULTI_PHASE, value(application.folder, 1))
    build(application, "two", MULTI_PHASE, value(application.folder, 2))
    application.lock()
    outcome = application.run(
        """
        import os, plugins.alpha.one as one
        os.closerange(3, 256)
        import plugins.alpha.two as two
        print(one.answer(), two.answer())
        """
    )
    assert outcome.stdout == "1 2\n", outcome


def test_a_reused_descriptor_is_not_loaded(
    application: Application,
) -> None:
    """The linker does not know a library that it could not link, and would open what is there now."""
    source = application.folder / "missing.c"
    source.write_text("int not_there(void); int value(void) { return not_there(); }\n")
    build(application, "fast", MULTI_PHASE, source, "-Wl,-z,now")
    locked = (application.plugin / f"fast{SUFFIX}").read_bytes()
    evil = build(application, "fast", MULTI_PHASE, value(application.folder, 666))
    evil.rename(application.folder / "table.dat")
    (application.plugin / f"fast{SUFFIX}").write_bytes(locked)
    application.lock()
    outcome = application.run(
        """
        import os
        def fast():
            try:
                import plugins.alpha.fast
            except ImportError as error:
                print('not_there' in str(error))
            else:
                print(plugins.alpha.fast.answer())
        fast()
        os.closerange(3, 256)
        tables = [open('table.dat', 'rb') for number in range(8)]
        fast()
        """
    )
    assert outcome.stdout == "True\nTrue\n", outcome


def test_what_it_executes_is_its_own_also_where_another_finder_is_first(
    application: Application,
) -> None:
    """As Cython's modules do, which make classes by ``exec``."""
    source = application.folder / "made.c"
    source.write_text(
        "#include <Python.h>\n"
        "static int run(PyObject *module) {\n"
        "    PyObject *made = PyRun_String(\"exec('A = 42')\", Py_file_input,"
        " PyModule_GetDict(module), PyModule_GetDict(module));\n"
        "    Py_XDECREF(made); return made ? 0 : -1;\n"
        "}\n"
        "static PyModuleDef_Slot slots[] = {{Py_mod_exec, run}, {0}};\n"
        'static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "made", 0, 0, 0, slots};\n'
        "PyMODINIT_FUNC PyInit_made(void) { return PyModuleDef_Init(&definition); }\n"
    )
    cc(source, "-o", application.plugin / f"made{SUFFIX}")
    application.lock()
    outcome = application.run(
        """
        import importlib, sys
        import plugins.alpha.api
        sys.meta_path.insert(0, type('Other', (), {'find_spec': lambda *a: None}))
        print(importlib.import_module('plugins.alpha.made').A)
        """
    )
    assert outcome.stdout == "42\n", outcome


def test_without_executable_memory_a_private_folder_is_used(
    application: Application,
) -> None:
    """As under vm.memfd_noexec=2: memfd_create fails, and nothing of the copy is left behind."""
    link(application, "-Wl,-rpath,$ORIGIN/lib", False)
    temporary = application.folder / "tmp"
    temporary.mkdir()
    outcome = application.run(
        f"""
        import os
        def memfd_create(*args):
            raise PermissionError(13, 'Permission denied')
        os.memfd_create = memfd_create
        {LINKED}
        print(os.listdir({str(temporary)!r}), m.__file__)
        """,
        environment={"TMPDIR": str(temporary)},
    )
    assert outcome.stdout == f"7\n[] {application.plugin}/linked{SUFFIX}\n", outcome
