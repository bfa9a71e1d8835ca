"""Attacks on units that are single files, and on names as they are on the disk."""

from __future__ import annotations

import importlib.util
import py_compile
from collections.abc import Callable
from pathlib import Path

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Ignored, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.fixtures.trees import WITNESS, Application

TOOL = WITNESS + "VALUE = 42\n"
IMPORT_TOOL = "import plugins.tool"
MISMATCH = Refused("integrity_mismatch", plugin="tool.py", tree_as_it_is=False)
BY_PATH = (
    "import os\n"
    "from importlib.machinery import SourceFileLoader\n"
    "from importlib.util import module_from_spec, spec_from_loader\n"
    "loader = SourceFileLoader('host_x', os.path.abspath({path!r}))\n"
    "module = module_from_spec(spec_from_loader('host_x', loader))\n"
    "loader.exec_module(module)"
)


def with_tool(application: Application) -> None:
    """Lock ``tool.py`` beside the plugin ``alpha``."""
    application.write("tool.py", TOOL)
    application.lock_units()


def changed(application: Application) -> None:
    with_tool(application)
    application.write("tool.py", EVIL)


def one_byte(application: Application) -> None:
    application.write("tool.py", TOOL + "if 0:\n" + _indented(PAYLOAD))
    application.lock_units()
    application.write("tool.py", TOOL + "if 1:\n" + _indented(PAYLOAD))


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def bytecode_beside(application: Application) -> None:
    """Plant bytecode that CPython takes for that of the intact source."""
    with_tool(application)
    source = application.root / "tool.py"
    evil = application.write("evil.txt", EVIL)
    cache = application.root / "__pycache__"
    cache.mkdir()
    target = Path(importlib.util.cache_from_source(str(source)))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(evil), cfile=str(target), dfile=str(source), invalidation_mode=mode)
    evil.unlink()


def sourceless_bytecode(application: Application) -> None:
    with_tool(application)
    evil = application.write("evil.txt", EVIL)
    target = str(application.root / "extra.pyc")
    py_compile.compile(str(evil), cfile=target, doraise=True)
    evil.unlink()


def package_beside(application: Application) -> None:
    """Add a package, which wins over a module of its name."""
    with_tool(application)
    application.write("tool/__init__.py", PAYLOAD)


def file_made_a_folder(application: Application) -> None:
    with_tool(application)
    (application.root / "tool.py").unlink()
    application.write("tool/__init__.py", PAYLOAD)


def link_in_its_place(application: Application) -> None:
    with_tool(application)
    (application.folder / "evil.py").write_text(EVIL)
    (application.root / "tool.py").unlink()
    (application.root / "tool.py").symlink_to(application.folder / "evil.py")


def root_init_locked(application: Application) -> None:
    application.write("__init__.py", WITNESS)
    application.lock_units()
    application.write("__init__.py", PAYLOAD)


def twin_in_the_lock(application: Application) -> None:
    with_tool(application)
    application.write("Tool.py", PAYLOAD)
    application.lock_units()


def dotted_folder(application: Application) -> None:
    """Add a folder that no import can name, so it is loaded by its path."""
    application.write("ha-hacs.v2/a.py", PAYLOAD)


def code_of_git(application: Application) -> None:
    application.write("alpha/.git/hooks/post.py", PAYLOAD)


def with_machine_code(suffix: str) -> Callable[[Application], None]:
    """Add machine code that a search path finds before the locked ``helper.py``."""

    def prepare(application: Application) -> None:
        application.write("helper.py", TOOL)
        application.lock_units()
        application.write(f"helper{suffix}", machine_code())

    return prepare


def machine_code_changed(application: Application) -> None:
    application.write("helper.py", TOOL)
    application.write(f"helper{SUFFIX}", machine_code("-DQUIET"))
    application.lock_units()
    application.write(f"helper{SUFFIX}", machine_code())


def stub_beside(application: Application) -> None:
    with_tool(application)
    application.write("tool.pyi", PAYLOAD)


ATTACKS = (
    Attack("units/changed", "A single file has other code.", MISMATCH, IMPORT_TOOL, changed),
    Attack("units/one-byte", "One byte of a single file.", MISMATCH, IMPORT_TOOL, one_byte),
    Attack(
        "units/changed-by-path",
        "A host loads the changed file by its path, under a name of its own.",
        MISMATCH,
        BY_PATH.format(path="plugins/tool.py"),
        changed,
    ),
    Attack(
        "units/planted-bytecode",
        "Bytecode that claims to be of the intact file.",
        Ignored(ran="plugins.tool"),
        IMPORT_TOOL,
        bytecode_beside,
    ),
    Attack(
        "units/sourceless-bytecode",
        "Bytecode without source beside the locked file.",
        Refused("unlocked_plugin", plugin="extra.pyc"),
        "import plugins.extra",
        sourceless_bytecode,
    ),
    Attack(
        "units/package-of-the-same-name",
        "A package with the name of a locked file.",
        Refused("unlocked_plugin", plugin="tool"),
        IMPORT_TOOL,
        package_beside,
    ),
    *(
        Attack(
            f"units/{name}-beside",
            "Machine code with the name of a locked file is found first.",
            Refused("unlocked_plugin", plugin=f"helper{suffix}"),
            "import plugins.helper",
            with_machine_code(suffix),
            needs=A_COMPILER,
        )
        for name, suffix in (("extension", SUFFIX), ("stable-abi", ".abi3.so"), ("library", ".so"))
    ),
    Attack(
        "units/extension-changed",
        "A source file and machine code of one name are locked, and the machine code is changed.",
        Refused("integrity_mismatch", plugin=f"helper{SUFFIX}", tree_as_it_is=False),
        "import plugins.helper",
        machine_code_changed,
        needs=A_COMPILER,
    ),
    Attack(
        "units/stub-by-path",
        "A host loads a stub file beside a locked file by its path.",
        Refused("unverified_code", plugin="plugins", at="plugins/tool.pyi"),
        BY_PATH.format(path="plugins/tool.pyi"),
        stub_beside,
    ),
    Attack(
        "units/file-made-a-folder",
        "A package in the place of a locked file.",
        Refused("unlocked_plugin", plugin="tool"),
        IMPORT_TOOL,
        file_made_a_folder,
    ),
    Attack(
        "units/link",
        "A link in the place of a locked file.",
        Refused("symlink_escape", plugin="tool.py", at="plugins/tool.py"),
        IMPORT_TOOL,
        link_in_its_place,
    ),
    Attack(
        "units/root-init",
        "The locked __init__.py of the folder has other code.",
        Refused("integrity_mismatch", plugin="__init__.py", tree_as_it_is=False),
        "import plugins",
        root_init_locked,
    ),
    Attack(
        "units/names-that-fold-alike",
        "Two locked files whose names differ by case only.",
        Refused("lock_file_malformed", plugin="<lockfile>", says="are one name on file systems"),
        "import plugins.Tool",
        twin_in_the_lock,
    ),
    Attack(
        "units/dotted-folder",
        "A folder that no import can name is loaded by its path.",
        Refused("unverified_code", plugin="ha-hacs.v2", at="plugins/ha-hacs.v2/a.py"),
        BY_PATH.format(path="plugins/ha-hacs.v2/a.py"),
        dotted_folder,
    ),
    Attack(
        "units/code-of-git",
        "Code in .git, which no digest covers, is loaded by its path.",
        Refused("unverified_code", at="plugins/alpha/.git/hooks/post.py"),
        BY_PATH.format(path="plugins/alpha/.git/hooks/post.py"),
        code_of_git,
    ),
)
