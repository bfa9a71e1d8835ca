"""Bytecode that Python would run instead of the source. It is in no digest, and never runs."""

from __future__ import annotations

import dis
import importlib.util
import marshal
import opcode
import os
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Closed, Ignored, NotThere, Refused
from tests.fixtures.trees import Application

Header = Callable[[Path], bytes]


def _number(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def timestamp(source: Path) -> bytes:
    """Return the header of a ``.pyc`` that is valid as long as its source has this time and
    size."""
    status = source.stat()
    return _number(0) + _number(int(status.st_mtime)) + _number(status.st_size)


def checked_hash(source: Path) -> bytes:
    """Return the header of a ``.pyc`` that is valid as long as its source has this hash."""
    return _number(0b11) + importlib.util.source_hash(source.read_bytes())


def unchecked_hash(source: Path) -> bytes:
    """Return the header of a ``.pyc`` that is always valid."""
    return _number(0b01) + bytes(8)


def evil_code(filename: str, source: str = EVIL) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)


def forged(source: Path, header: Header = unchecked_hash, *, claims: str = "") -> bytes:
    """Bytecode of the payload that passes for bytecode of ``source``."""
    code = marshal.dumps(evil_code(claims or str(source)))
    return importlib.util.MAGIC_NUMBER + header(source) + code


def cached(header: Header, optimization: str = "") -> Callable[[Application], None]:
    """Plant bytecode where Python looks for the cached bytecode of ``helper.py``."""

    def prepare(application: Application) -> None:
        source = application.plugin / "helper.py"
        target = importlib.util.cache_from_source(str(source), optimization=optimization)
        application.write(os.path.relpath(target, application.root), forged(source, header))

    return prepare


def planted(relative: str) -> Callable[[Application], None]:
    """Plant bytecode of the payload as a file below ``plugins/``."""

    def prepare(application: Application) -> None:
        application.write(relative, forged(application.plugin / "helper.py"))

    return prepare


def root_of_caches(application: Application) -> None:
    """Prepare a folder for ``PYTHONPYCACHEPREFIX``, with bytecode for ``helper.py`` in it."""
    source = application.plugin / "helper.py"
    # As _cache_from_source puts it: the whole path of the source below the prefix.
    target = Path(importlib.util.cache_from_source(str(source), optimization=""))
    place = application.folder / "caches" / source.parent.relative_to("/") / target.name
    place.parent.mkdir(parents=True)
    place.write_bytes(forged(source))


def linked_cache(application: Application) -> None:
    cached(unchecked_hash)(application)
    (application.plugin / "__pycache__").rename(application.folder / "outside")
    (application.plugin / "__pycache__").symlink_to("../../outside")


def linked_from_elsewhere(application: Application) -> None:
    """A cache of the application's own module is a link to a file of the plugin folder."""
    tool = application.folder / "tool.py"
    tool.write_text("")
    cache = Path(importlib.util.cache_from_source(str(tool), optimization=""))
    cache.parent.mkdir(exist_ok=True)
    application.write("alpha/__pycache__/tool.pyc", forged(tool))
    cache.symlink_to(application.plugin / "__pycache__" / "tool.pyc")


def planted_later(application: Application) -> None:
    cached(unchecked_hash)(application)
    (application.plugin / "__pycache__").rename(application.folder / "planted")


def named_as_source(claims: str) -> Callable[[Application], None]:
    """Prepare a file ``extra.py`` that holds bytecode; it says that it was made from ``claims``."""

    def prepare(application: Application) -> None:
        source = application.plugin / "extra.py"
        source.write_text("")
        source.write_bytes(forged(source, claims=claims))

    return prepare


def bytecode_with_any_name(application: Application) -> None:
    source = application.plugin / "helper.py"
    application.write("alpha/extra.bin", forged(source, claims="elsewhere.py"))


def zip_with_bytecode(application: Application) -> None:
    """Prepare a zip file with bytecode of the payload, which claims to come from elsewhere."""
    source = application.plugin / "helper.py"
    with zipfile.ZipFile(application.plugin / "code.zip", "w") as archive:
        archive.writestr("evil.pyc", forged(source, timestamp_of_a_zip, claims="elsewhere.py"))


def timestamp_of_a_zip(source: Path) -> bytes:
    """Return the header of bytecode beside which a zip file holds no source."""
    return (0).to_bytes(4, "little") + bytes(8)


def source_in_a_cache(application: Application) -> None:
    application.write("alpha/__pycache__/hidden.py", PAYLOAD)


# `show` calls the fifth name of the module when it runs. A specialized instruction of its bytecode
# can be forged to take the fourth.
SPECIALIZED = """
from os import system
def show(text):
    return show_safely(text)
def show_safely(text):
    pass
"""


def _load_global_module() -> int:
    """Return the number of the instruction ``LOAD_GLOBAL_MODULE``, which no compiler writes."""
    if sys.version_info >= (3, 13):
        return int(opcode._specialized_opmap["LOAD_GLOBAL_MODULE"])  # type: ignore[attr-defined]
    if sys.version_info >= (3, 12):
        return int(dis._all_opmap["LOAD_GLOBAL_MODULE"])  # type: ignore[attr-defined]
    free = [number for number in range(1, 255) if opcode.opname[number] == f"<{number}>"]
    names: list[str] = opcode._specialized_instructions  # type: ignore[attr-defined]
    return free[names.index("LOAD_GLOBAL_MODULE")]


def specialized(source: str, path: str) -> bytes:
    """Return the bytecode of ``SPECIALIZED``, marshalled, in which ``show`` calls ``system``.

    Attributes of a code object do not tell: ``co_code`` shows the instruction as the compiler writes
    it, and without what is cached in it.
    """
    code = compile(source, path, "exec", dont_inherit=True)
    (show,) = (each for each in code.co_consts if getattr(each, "co_name", "") == "show")
    original = show.co_code
    changed = bytearray(original)
    at = next(n for n in range(0, len(changed), 2) if changed[n] == dis.opmap["LOAD_GLOBAL"])
    changed[at] = _load_global_module()
    namespace: dict[str, object] = dict.fromkeys(vars(types.ModuleType("x")))
    namespace["__file__"] = None
    if sys.version_info < (3, 15):
        namespace["__cached__"] = None
    exec(code, namespace)
    cache = at + (8 if sys.version_info >= (3, 13) else 4)
    index = [*namespace].index("system")
    changed[cache : cache + 2] = index.to_bytes(2, "little")
    data = marshal.dumps(code)
    assert data.count(original) == 1
    return data.replace(original, bytes(changed))


def cache_with_specialized_instructions(application: Application) -> None:
    application.write("alpha/helper.py", SPECIALIZED)
    application.lock()
    root_of_caches(application)
    (place,) = (application.folder / "caches").rglob("*.pyc")
    source = application.plugin / "helper.py"
    header = importlib.util.MAGIC_NUMBER + unchecked_hash(source)
    place.write_bytes(header + specialized(SPECIALIZED, str(source)))


PREFIX = {"PYTHONPYCACHEPREFIX": "caches"}


def function_body_as_module(application: Application) -> None:
    """Prepare a locked file with a function that is never called, and its body cached as the
    module."""
    source = application.write("alpha/helper.py", f"VALUE = 42\n\ndef wipe():\n    {INLINE}\n")
    application.lock()
    body = next(
        constant
        for constant in evil_code(str(source), source.read_text()).co_consts
        if isinstance(constant, CodeType)
    )
    entry = importlib.util.MAGIC_NUMBER + unchecked_hash(source) + marshal.dumps(body)
    target = importlib.util.cache_from_source(str(source), optimization="")
    place = application.folder / "caches" / source.parent.relative_to("/") / Path(target).name
    place.parent.mkdir(parents=True)
    place.write_bytes(entry)


def assertion_left_out(application: Application) -> None:
    """Prepare a locked file whose assertion keeps the rest from running, cached without
    assertions."""
    source = application.write("alpha/helper.py", f"assert False, 'stop'\n{PAYLOAD}")
    application.lock()
    code = compile(source.read_bytes(), str(source), "exec", dont_inherit=True, optimize=2)
    target = importlib.util.cache_from_source(str(source), optimization="")
    place = application.folder / "caches" / source.parent.relative_to("/") / Path(target).name
    place.parent.mkdir(parents=True)
    place.write_bytes(importlib.util.MAGIC_NUMBER + unchecked_hash(source) + marshal.dumps(code))


BY_SPEC = """
import importlib.util
spec = importlib.util.spec_from_file_location('helper', 'plugins/alpha/helper.py')
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
INLINE = "import os; open(os.environ['WITNESS'], 'a').write('PAYLOAD\\n')"
NOT_COMPILED = Refused("unverified_code", at="plugins/alpha/helper.py", says="compile to")


def not_opened(relative: str) -> Refused:
    return Refused("unverified_code", at=f"plugins/{relative}", says="bytecode")


ATTACKS = (
    Attack(
        "bytecode/timestamp",
        "Cached bytecode with the time and size of the source.",
        Ignored(),
        prepare=cached(timestamp),
    ),
    Attack(
        "bytecode/checked-hash",
        "Cached bytecode with the hash of the source.",
        Ignored(),
        prepare=cached(checked_hash),
    ),
    Attack(
        "bytecode/unchecked-hash",
        "Cached bytecode that says not to look at the source.",
        Ignored(),
        prepare=cached(unchecked_hash),
    ),
    Attack(
        "bytecode/opt-1",
        "Cached bytecode for python -O.",
        Ignored(),
        prepare=cached(unchecked_hash, "1"),
        flags=("-O",),
    ),
    Attack(
        "bytecode/opt-2",
        "Cached bytecode for python -OO.",
        Ignored(),
        prepare=cached(unchecked_hash, "2"),
        flags=("-OO",),
    ),
    Attack(
        "bytecode/linked-cache",
        "__pycache__ is a link to a folder of bytecode.",
        Refused("symlink_escape", at="plugins/alpha/__pycache__"),
        prepare=linked_cache,
    ),
    Attack(
        "bytecode/linked-from-elsewhere",
        "The cached bytecode of a module of the application is a link into the plugin folder.",
        Ignored(),
        "import plugins.alpha.api, tool",
        linked_from_elsewhere,
    ),
    Attack(
        "bytecode/source-in-a-cache",
        "A module in __pycache__, which is in no digest.",
        NotThere("plugins.alpha.__pycache__"),
        "import importlib; importlib.import_module('plugins.alpha.__pycache__.hidden')",
        source_in_a_cache,
    ),
    Attack(
        "bytecode/no-source",
        "A .pyc without a source.",
        NotThere("plugins.alpha.extra"),
        "import plugins.alpha.extra",
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/listed",
        "A .pyc without a source, for a program that imports all that is listed.",
        Ignored("plugins.alpha.api"),
        """
        import importlib, pkgutil, plugins.alpha
        for module in pkgutil.iter_modules(plugins.alpha.__path__, 'plugins.alpha.'):
            importlib.import_module(module.name)
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/shadowing-package",
        "api/__init__.pyc, which is tried before api.py.",
        Ignored("plugins.alpha.api"),
        prepare=planted("alpha/api/__init__.pyc"),
    ),
    Attack(
        "bytecode/init-of-a-plugin",
        "__init__.pyc for a plugin without __init__.py.",
        Ignored(),
        prepare=planted("alpha/__init__.pyc"),
    ),
    Attack(
        "bytecode/init-of-the-root",
        "plugins/__init__.pyc.",
        Ignored(),
        prepare=planted("__init__.pyc"),
    ),
    Attack(
        "bytecode/stray",
        "A .pyc among the plugins.",
        Refused("unlocked_plugin", plugin="stray.pyc"),
        "import plugins.stray",
        planted("stray.pyc"),
    ),
    Attack(
        "bytecode/prefix",
        "PYTHONPYCACHEPREFIX names a folder of forged bytecode.",
        Ignored(),
        prepare=root_of_caches,
        environment=PREFIX,
    ),
    Attack(
        "bytecode/prefix-spec",
        "Forged bytecode behind a prefix, for spec_from_file_location on an unchanged file.",
        NOT_COMPILED,
        """
        import importlib.util
        spec = importlib.util.spec_from_file_location('anything', 'plugins/alpha/helper.py')
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        root_of_caches,
        environment=PREFIX,
    ),
    Attack(
        "bytecode/prefix-set-later",
        "The same with sys.pycache_prefix, for SourceFileLoader after the plugin has passed.",
        NOT_COMPILED,
        """
        import sys, os, importlib.machinery, types, plugins.alpha
        sys.pycache_prefix = 'caches'
        path = os.path.abspath('plugins/alpha/helper.py')
        importlib.machinery.SourceFileLoader('anything', path).exec_module(types.ModuleType('anything'))
        """,
        root_of_caches,
    ),
    Attack(
        "bytecode/specialized",
        "The same, with an instruction in it that only a running interpreter writes.",
        NOT_COMPILED,
        """
        import importlib.util
        spec = importlib.util.spec_from_file_location('anything', 'plugins/alpha/helper.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.show('echo PAYLOAD >> "$WITNESS"')
        """,
        cache_with_specialized_instructions,
        environment=PREFIX,
    ),
    Attack(
        "bytecode/source-loader-cache",
        "Cached bytecode in the plugin folder, for a SourceFileLoader on an unchanged file.",
        Ignored("anything"),
        """
        import importlib.machinery, types
        loader = importlib.machinery.SourceFileLoader('anything', 'plugins/alpha/helper.py')
        loader.exec_module(types.ModuleType('anything'))
        """,
        cached(unchecked_hash),
    ),
    Attack(
        "bytecode/sourceless-loader",
        "SourcelessFileLoader on a .pyc of the plugin folder.",
        not_opened("alpha/extra.pyc"),
        """
        import importlib.machinery, os, types
        path = os.path.abspath('plugins/alpha/extra.pyc')
        loader = importlib.machinery.SourcelessFileLoader('anything', path)
        loader.exec_module(types.ModuleType('anything'))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/sourceless-any-name",
        "SourcelessFileLoader on bytecode with any name, which claims to come from elsewhere.",
        Refused("integrity_mismatch"),
        """
        import importlib.machinery, os, types
        path = os.path.abspath('plugins/alpha/extra.bin')
        loader = importlib.machinery.SourcelessFileLoader('anything', path)
        loader.exec_module(types.ModuleType('anything'))
        """,
        bytecode_with_any_name,
    ),
    Attack(
        "bytecode/sourceless-by-path-object",
        "The same by a path object, with a spec that names another origin.",
        Refused("integrity_mismatch"),
        """
        import importlib.machinery, importlib.util, pathlib
        path = pathlib.Path('plugins/alpha/extra.bin').absolute()
        loader = importlib.machinery.SourcelessFileLoader('anything', path)
        spec = importlib.machinery.ModuleSpec('anything', loader, origin='elsewhere')
        loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        bytecode_with_any_name,
    ),
    Attack(
        "bytecode/run-path",
        "runpy.run_path on a .pyc of the plugin folder.",
        not_opened("alpha/extra.pyc"),
        "import os, runpy; runpy.run_path(os.path.abspath('plugins/alpha/extra.pyc'))",
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/read-and-run",
        "A .pyc of the plugin folder read with open() and run with exec().",
        Closed("bytecode is in no digest", raised="PermissionError"),
        """
        import marshal, os
        with open(os.path.abspath('plugins/alpha/extra.pyc'), 'rb') as file:
            exec(marshal.loads(file.read()[16:]))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/read-by-another-module-and-run",
        "The same, where the standard library reads the file, and marshal has another name.",
        Closed("bytecode is in no digest", raised="PermissionError"),
        """
        import os, pathlib
        from marshal import loads as make
        exec(make(pathlib.Path(os.path.abspath('plugins/alpha/extra.pyc')).read_bytes()[16:]))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/read-and-run-without-a-name",
        "The same, where marshal is imported in the expression that uses it.",
        Closed("bytecode is in no digest", raised="PermissionError"),
        """
        path = __import__('os').path.abspath('plugins/alpha/extra.pyc')
        exec(__import__('marshal').loads(open(path, 'rb').read()[16:]))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/read-by-pkgutil-and-run",
        "A .pyc of the plugin folder that pkgutil makes code of, as runpy does.",
        Closed("bytecode is in no digest", raised="PermissionError"),
        """
        import os
        from pkgutil import read_code
        with open(os.path.abspath('plugins/alpha/extra.pyc'), 'rb') as file:
            exec(read_code(file))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/loader-with-its-own-get-code",
        "A loader that reads a .pyc of the plugin folder as importlib reads data, and runs it.",
        Closed("bytecode is in no digest", raised="PermissionError"),
        """
        import importlib.machinery, os
        path = os.path.abspath('plugins/alpha/extra.pyc')
        data = importlib.machinery.SourceFileLoader('anything', path).get_data(path)
        exec(__import__('marshal').loads(data[16:]))
        """,
        planted("alpha/extra.pyc"),
    ),
    Attack(
        "bytecode/zip-by-runpy",
        "python -m runpy on bytecode in a zip file of the folder that claims to come from elsewhere.",
        Refused("integrity_mismatch"),
        """
        import os, runpy, sys
        sys.path.insert(0, os.path.abspath('plugins/alpha/code.zip'))
        sys.argv = ['', 'evil']
        runpy.run_module('runpy', run_name='__main__', alter_sys=True)
        """,
        zip_with_bytecode,
    ),
    Attack(
        "bytecode/script",
        "python plugins/alpha/extra.pyc",
        Refused("unverified_code", at="plugins/alpha/extra.pyc", says="no file of a verified"),
        arguments=("plugins/alpha/extra.pyc",),
        prepare=planted("alpha/extra.pyc"),
        settings={"root": "plugins"},
    ),
    Attack(
        "bytecode/named-as-source",
        "runpy.run_path on a .py that holds bytecode.",
        Refused("integrity_mismatch"),
        "import os, runpy; runpy.run_path(os.path.abspath('plugins/alpha/extra.py'))",
        named_as_source(""),
    ),
    Attack(
        "bytecode/named-as-source-elsewhere",
        "The same, and the bytecode says that it was made from a file elsewhere.",
        Refused("integrity_mismatch"),
        "import os, runpy; runpy.run_path(os.path.abspath('plugins/alpha/extra.py'))",
        named_as_source("elsewhere.py"),
    ),
    Attack(
        "bytecode/reload",
        "Bytecode planted after the module was imported, for importlib.reload.",
        Ignored(),
        """
        import importlib, shutil, plugins.alpha.helper as helper
        shutil.copytree('planted', 'plugins/alpha/__pycache__')
        importlib.reload(helper)
        """,
        planted_later,
    ),
    Attack(
        "bytecode/function-as-module",
        "Forged bytecode that is the body of a function of the verified file.",
        NOT_COMPILED,
        BY_SPEC,
        function_body_as_module,
        environment=PREFIX,
    ),
    Attack(
        "bytecode/assertion-left-out",
        "Bytecode of the verified file at another optimisation level, without its assertions.",
        NOT_COMPILED,
        BY_SPEC,
        assertion_left_out,
        environment=PREFIX,
    ),
)
