"""One name, two files: a path means one file as it is spelled, and another one to the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile

from tests.attacks.attack import PAYLOAD, Attack, Need, Refused
from tests.attacks.native import A_COMPILER, machine_code
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch")
LINK = Refused("symlink_escape")
ANOTHER_FILE = Refused("unverified_code", says="leads to another file")

TEMPLATE = """\
import os
path = os.path.join(os.path.dirname(__file__), '..', 'settings.conf')
with open(path) as file:
    exec(compile(file.read(), path, 'exec'))
"""
LIBRARY = """\
import ctypes, os
ctypes.CDLL(os.path.join(os.path.dirname(__file__), '..', 'libfoo.so'))
"""
# A mount namespace of the process's own, in which the plugin folder has a second name.
MOUNT = "; ".join(
    (
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)",
        "assert libc.unshare(0x20000) == 0, ctypes.get_errno()",
        "assert libc.mount(None, b'/', None, 0x44000, None) == 0, ctypes.get_errno()",
        "os.mkdir('mounted')",
        "assert libc.mount(b'plugins', b'mounted', None, 0x1000, None) == 0, ctypes.get_errno()",
    )
)


def _can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/plugins")
        done = subprocess.run([sys.executable, "-c", MOUNT], cwd=folder, capture_output=True)
        return done.returncode == 0


def _folds_case() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return os.path.exists(folder.swapcase())


MOUNTS = Need("the right to mount folders", sys.platform == "linux" and _can_mount())
FOLDS_CASE = Need("a file system that folds case", _folds_case())


def reads_above_itself(application: Application) -> None:
    """Prepare a plugin that spells the files beside its own folder with "..", as many do."""
    application.write("alpha/native/template.py", TEMPLATE)
    application.write("alpha/settings.conf", "LEVEL = 1\n")
    application.lock()
    evil = application.folder / "evil"
    (evil / "native").mkdir(parents=True)
    (evil / "settings.conf").write_text(PAYLOAD)
    (evil / "native" / "template.py").write_text(TEMPLATE)


def opens_above_itself(application: Application) -> None:
    application.write("alpha/native/library.py", LIBRARY)
    application.write("alpha/libfoo.so", b"never loaded")
    application.lock()
    evil = application.folder / "evil"
    (evil / "native").mkdir(parents=True)
    (evil / "libfoo.so").write_bytes(machine_code())
    (evil / "native" / "library.py").write_text(LIBRARY)


def exchange(target: str) -> str:
    """Put a link in the place of a folder of the plugin, once the plugin has passed."""
    return f"""
        import os, shutil, plugins.alpha
        if {target!r} != 'evil':
            shutil.copytree('evil', {target!r})
        shutil.rmtree('plugins/alpha/native')
        os.symlink(os.path.abspath({target!r} + '/native'), 'plugins/alpha/native')
        """


def two_files(application: Application) -> None:
    """Prepare a verified file, a changed one, and a link: by one path the first or the second."""
    application.write("alpha/tool", "LEVEL = 1\n")
    application.write("alpha/sub/inner/empty.txt", "")
    application.lock()
    (application.folder / "deep" / "inner").mkdir(parents=True)
    (application.folder / "deep" / "tool").write_text(PAYLOAD)
    (application.folder / "plugins" / "link").symlink_to("../deep/inner")


def tool(application: Application) -> None:
    application.write("alpha/tool", "LEVEL = 1\n")
    application.lock()


def tool_added(application: Application) -> None:
    application.write("alpha/tool", PAYLOAD)


def changed(application: Application) -> None:
    application.write("alpha/helper.py", PAYLOAD)


def zip_added(application: Application) -> None:
    with zipfile.ZipFile(application.plugin / "code.zip", "w") as file:
        file.writestr("evil.py", PAYLOAD)


def planted_link(application: Application) -> None:
    """Prepare a link in the plugin's folder to a file elsewhere, and another name of that
    folder."""
    (application.folder / "evil.txt").write_text(PAYLOAD)
    (application.plugin / "tool").symlink_to("../../evil.txt")
    (application.folder / "alias").symlink_to("plugins/alpha")


def folder_elsewhere(application: Application) -> None:
    """Prepare a folder of modules in a plugin, one elsewhere, and other names of the first."""
    application.write("alpha/vendored/tool.py", "LEVEL = 1\n")
    application.lock()
    (application.folder / "evil").mkdir()
    (application.folder / "evil" / "tool.py").write_text(PAYLOAD)
    (application.folder / "alias").symlink_to("plugins")
    (application.folder / "again").symlink_to("alias/../alias/alpha/vendored")
    (application.folder / "tool.py").symlink_to("alias/alpha/vendored/tool.py")


PLANT_A_FOLDER = """
os.rename('plugins/alpha/vendored', 'vendored')
os.symlink('../../evil', 'plugins/alpha/vendored')
"""


def planted_folder(application: Application) -> None:
    """Put a link to the folder elsewhere in the place of the plugin's folder."""
    folder_elsewhere(application)
    (application.plugin / "vendored").rename(application.folder / "vendored")
    (application.plugin / "vendored").symlink_to("../../evil")


def run_as(path: str, before: str = "") -> str:
    """Make code of a file under the name by which it is read."""
    return f"""
        import os
        {before or "pass"}
        path = {path}
        with open(path) as file:
            exec(compile(file.read(), path, 'exec'))
        """


def located(path: str, before: str = "") -> str:
    return f"""
        import importlib.machinery, os, types
        {before or "pass"}
        path = {path}
        importlib.machinery.SourceFileLoader('anything', path).exec_module(types.ModuleType('anything'))
        """


def restored_before_it_is_judged(name: str) -> str:
    """Return a script. Its file holds the payload when ``runpy`` reads it, and verified bytes when
    the guard checks it."""
    return f"""
        import os, pathlib, runpy, sys, plugins.alpha
        good = open('plugins/alpha/tool').read()
        open('plugins/alpha/tool', 'w').write(PAYLOAD)
        def restore(event, args):
            if event == 'compile' and args[0] is not None and b'WITNESS' in bytes(args[0]):
                with open('plugins/alpha/tool', 'w') as file:
                    file.write(good)
        sys.addaudithook(restore)
        runpy.run_path({name})
        """


# A class derived from str that lies when it is compared, or when its start and end are checked.
LIAR = (
    "class Path(str):\n"
    "            __hash__ = str.__hash__\n"
    "            def __eq__(self, other): return True\n"
    "            def __ne__(self, other): return False\n"
    "            def __fspath__(self): return '/nowhere'\n"
    "            def startswith(self, *prefix): return False\n"
    "            def endswith(self, *suffix): return False\n"
    "            def __getitem__(self, index): return '/nowhere'[index]"
)

# Code that the standard library generates is called <string> as well, also for the guard: so it is
# planted once the guard has loaded its rules.
PLANT = (
    "import plugins.alpha; os.chdir('plugins/alpha'); os.mkdir('<x>')\n"
    "        for name in '<x>/tool', '<string>':\n"
    "            with open(name, 'w') as file:\n"
    "                file.write(PAYLOAD)"
)

GONE = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"

ATTACKS = (
    Attack(
        "path/above-a-link-outside",
        "A plugin reads folder/../file, and the folder becomes a link to one outside.",
        ANOTHER_FILE,
        exchange("evil") + "import plugins.alpha.native.template",
        reads_above_itself,
    ),
    Attack(
        "path/above-a-link-inside",
        "The same with a link to a folder in the plugin.",
        LINK,
        exchange("plugins/alpha/t") + "import plugins.alpha.native.template",
        reads_above_itself,
    ),
    Attack(
        "path/above-a-link-library",
        "The same with a library, which ctypes opens.",
        ANOTHER_FILE,
        exchange("evil") + "import plugins.alpha.native.library",
        opens_above_itself,
        needs=A_COMPILER,
    ),
    Attack(
        "path/above-a-planted-link",
        "A path through a link that was planted in the folder, and back into a plugin.",
        Refused("unlocked_plugin", plugin="link"),
        run_as("'plugins/link/../tool'"),
        two_files,
    ),
    Attack(
        "path/bracketed-folder",
        "A relative path that begins with a name in angle brackets, as made-up names of code do.",
        MISMATCH,
        run_as("'<x>/tool'", PLANT),
    ),
    Attack(
        "path/bracketed-name",
        "A file in the working folder that is called as code without a file is: <string>.",
        MISMATCH,
        run_as("'<string>'", PLANT),
    ),
    Attack(
        "path/lying-str",
        "A loader's path is of a class derived from str that denies what it is.",
        MISMATCH,
        f"""
        import importlib.machinery, os, types
        {LIAR}
        loader = importlib.machinery.SourceFileLoader('any', Path(os.path.abspath('plugins/alpha/tool')))
        loader.exec_module(types.ModuleType('any'))
        """,
        tool_added,
    ),
    Attack(
        "path/lying-str-origin",
        "A spec's origin is one, and another file than the code.",
        MISMATCH,
        f"""
        import importlib.machinery, importlib.util, os
        {LIAR}
        path = os.path.abspath('plugins/alpha/helper.py')
        class Loader(importlib.machinery.SourceFileLoader):
            __slots__ = ()
            @property
            def path(self): return None
            @path.setter
            def path(self, value): pass
            def get_filename(self, name=None): return path
        spec = importlib.util.spec_from_loader('any', Loader('any', path), origin=Path('/elsewhere'))
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        changed,
    ),
    Attack(
        "path/run-path-of-bytes",
        "runpy.run_path by bytes of a file that is restored when it has been read.",
        Refused("unverified_code", says="compile to"),
        restored_before_it_is_judged("b'plugins/alpha/tool'"),
        tool,
    ),
    Attack(
        "path/run-path-of-a-path-object",
        "The same by a pathlib.Path.",
        Refused("unverified_code", says="compile to"),
        restored_before_it_is_judged("pathlib.Path('plugins/alpha/tool')"),
        tool,
    ),
    Attack(
        "path/run-path-above-a-link",
        "runpy.run_path through a link and back: runpy opens what the name spells.",
        MISMATCH,
        """
        import os, runpy
        os.makedirs('deep/inner'); os.symlink('deep/inner', 'link')
        os.mkdir('deep/plugins'); os.symlink('/nowhere', 'deep/plugins/alpha')
        runpy.run_path('link/../plugins/alpha/tool')
        """,
        tool_added,
    ),
    Attack(
        "path/working-folder-link",
        "A changed file below /proc/self/cwd, by a loader that does not normalize it.",
        MISMATCH,
        located("'/proc/self/cwd/plugins/alpha/helper.py'"),
        changed,
    ),
    Attack(
        "path/root-link",
        "The same below /proc/self/root.",
        MISMATCH,
        located("'/proc/self/root' + os.path.abspath('plugins/alpha/helper.py')"),
        changed,
    ),
    Attack(
        "path/bind-mount",
        "A changed file below a bind mount of the plugin folder.",
        MISMATCH,
        located("os.path.abspath('mounted/alpha/helper.py')", MOUNT),
        changed,
        settings={"root": "plugins"},
        needs=MOUNTS,
    ),
    Attack(
        "path/another-case",
        "A changed file by another spelling of the folder's name, where case does not count.",
        MISMATCH,
        located("os.path.abspath('plugins').swapcase() + '/alpha/helper.py'"),
        changed,
        settings={"root": "plugins"},
        needs=FOLDS_CASE,
    ),
    Attack(
        "path/descriptor-of-the-folder",
        "The same below /proc/self/fd, by an open descriptor of the plugin's folder.",
        MISMATCH,
        located(
            "f'/proc/self/fd/{folder}/helper.py'",
            "folder = os.open('plugins/alpha', os.O_RDONLY)",
        ),
        changed,
    ),
    Attack(
        "path/descriptor-of-the-file",
        "The same by an open descriptor of the file.",
        MISMATCH,
        located("f'/proc/self/fd/{fd}'", "fd = os.open('plugins/alpha/helper.py', os.O_RDONLY)"),
        changed,
    ),
    Attack(
        "path/renamed-working-folder",
        "A changed file by a bare name, in a working folder that was renamed.",
        MISMATCH,
        located(
            "'helper.py'",
            "os.rename('plugins/alpha', 'away'); os.chdir('away'); "
            "os.rename('../away', '../plugins/alpha')",
        ),
        changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "path/zip-from-nowhere",
        "A zip by a relative path, from a working folder that is gone.",
        MISMATCH,
        f"""
        import importlib.util, os, zipimport
        {GONE}
        spec = zipimport.zipimporter('../plugins/alpha/code.zip').find_spec('evil')
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        zip_added,
        settings={"root": "plugins"},
    ),
    Attack(
        "path/data-from-nowhere",
        "A data file by a relative path, from a working folder that is gone.",
        MISMATCH,
        run_as("'../plugins/alpha/tool'", GONE),
        tool_added,
        settings={"root": "plugins"},
    ),
    Attack(
        "path/link-from-nowhere",
        "The same by a link outside the plugin folder.",
        MISMATCH,
        run_as("'../link'", "os.symlink('plugins/alpha/tool', 'link'); " + GONE),
        tool_added,
        settings={"root": "plugins"},
    ),
    Attack(
        "path/planted-link-by-alias",
        "A link to a file elsewhere that was planted in a plugin, by another name of its folder.",
        LINK,
        run_as("os.path.abspath('alias/tool')"),
        planted_link,
    ),
    Attack(
        "path/planted-folder-by-alias",
        "The same with a link to a folder of modules, on sys.path.",
        LINK,
        "import os, sys; sys.path.insert(0, os.path.abspath('alias/alpha/vendored')); import tool",
        planted_folder,
    ),
    Attack(
        "path/planted-folder-by-a-relative-name",
        "The same by a relative name, which leads up and down.",
        LINK,
        located("'alias/../alias/alpha/vendored/tool.py'"),
        planted_folder,
    ),
    Attack(
        "path/planted-folder-behind-a-link",
        "The same by a link that leads to the planted link.",
        LINK,
        located("os.path.abspath('again/tool.py')"),
        planted_folder,
    ),
    Attack(
        "path/planted-folder-behind-a-file",
        "The same by a link to a file, which leads through the planted link.",
        LINK,
        located("os.path.abspath('tool.py')"),
        planted_folder,
    ),
    Attack(
        "path/too-long-a-name",
        "A link in a working folder so deep that no path names it.",
        MISMATCH,
        run_as(
            "'link/tool'",
            "plugin = os.path.abspath('plugins/alpha')\n"
            "        for _ in range(30):\n"
            "            os.mkdir('d' * 200); os.chdir('d' * 200)\n"
            "        os.symlink(plugin, 'link')",
        ),
        tool_added,
        settings={"root": "plugins"},
    ),
)
