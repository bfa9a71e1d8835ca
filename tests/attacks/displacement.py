"""Going past the guard: it is taken off ``sys.meta_path``, or code is run without an import."""

from __future__ import annotations

import importlib.util
import marshal
import sys
import zipfile

from tests.attacks.attack import (
    EVIL,
    PAYLOAD,
    Attack,
    Closed,
    Expected,
    Ignored,
    Need,
    NotThere,
    Refused,
)
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.attacks.path import PLANT_A_FOLDER, folder_elsewhere
from tests.attacks.precedence import second_folder
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch")
CHANGED_SINCE = Refused("integrity_mismatch", says="changed   helper.py")
VERIFIED_RAN = Ignored("plugins.alpha.api")


def changed(application: Application) -> None:
    application.write("alpha/helper.py", EVIL)


def added(application: Application) -> None:
    application.write("alpha/extra.py", PAYLOAD)


def added_with_any_name(application: Application) -> None:
    application.write("alpha/extra.txt", PAYLOAD)


def honest_folder(application: Application) -> None:
    changed(application)
    (application.folder / "honest").mkdir()
    (application.folder / "honest" / "module.py").write_text("")


def main_of_the_folder(application: Application) -> None:
    application.write("alpha/__main__.py", PAYLOAD)


def stray(application: Application) -> None:
    application.write("stray.py", PAYLOAD)


def valid_second_folder(application: Application) -> None:
    """Prepare a second folder that is locked, and in order for a guard that takes it for the
    first."""
    evil = application.folder / "evil"
    evil.mkdir()
    other = Application(evil)
    other.write("alpha/api.py", PAYLOAD)
    other.write("__init__.py", "")
    other.lock()


def evil_module(application: Application) -> None:
    (application.folder / "evil").mkdir()
    (application.folder / "evil" / "extra.py").write_text(PAYLOAD)


def evil_helper(application: Application) -> None:
    (application.folder / "evil").mkdir()
    (application.folder / "evil" / "helper.py").write_text(EVIL)


def script_in_the_root(application: Application) -> None:
    """Not verified, unlike the file of the same name in a plugin called like the package."""
    application.add_plugin("plugins", {"tool": "print('the tool')"})
    application.lock()
    application.write("tool", PAYLOAD)


def payload_beside(application: Application) -> None:
    (application.folder / "payload.txt").write_text(PAYLOAD)


def runs_a_file(application: Application) -> None:
    application.write(
        "alpha/runs.py",
        "import os, runpy\n"
        "runpy.run_path(os.path.join(os.path.dirname(__file__), 'settings.py'))\n",
    )
    application.write("alpha/settings.py", "LEVEL = 1\n")
    application.lock()
    payload_beside(application)


def script_changed(application: Application) -> None:
    application.write("alpha/tool", "print('the tool')\n")
    application.lock()
    application.write("alpha/tool", PAYLOAD)


def bracketed(application: Application) -> None:
    application.write("alpha/<evil>", PAYLOAD)


def zipped(application: Application) -> None:
    with zipfile.ZipFile(application.plugin / "code.zip", "w") as file:
        file.writestr("evil.py", PAYLOAD)
        file.writestr("__main__.py", PAYLOAD)


def zipped_bytecode(application: Application) -> None:
    """Bytecode in a zip; it claims to come from a file outside the plugin folder."""
    code = marshal.dumps(compile(PAYLOAD, "elsewhere.py", "exec", dont_inherit=True))
    header = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little") + bytes(8)
    with zipfile.ZipFile(application.plugin / "code.zip", "w") as file:
        file.writestr("evil.pyc", header + code)


def locked_zip(application: Application) -> None:
    """Code in a zip that is locked: the zip is verified, what is made of it is not."""
    zipped(application)
    application.lock()


def machine_code_added(application: Application) -> None:
    application.write(f"alpha/extra{SUFFIX}", machine_code())


def machine_code_to_exchange(application: Application) -> None:
    """Lock an extension module without the payload, and prepare one with it."""
    application.write(f"alpha/extra{SUFFIX}", machine_code("-DQUIET"))
    application.lock()
    (application.folder / "evil.so").write_bytes(machine_code())


EXCHANGE = f"""
        import importlib.machinery, importlib.util, os, sys
        locked = os.path.abspath('plugins/alpha/extra{SUFFIX}')
        def exchange(event, args):
            if event == 'import' and args[0] == 'extra' and args[1] and os.path.exists('evil.so'):
                os.replace('evil.so', locked)
        sys.addaudithook(exchange)
        def load(path):
            loader = importlib.machinery.ExtensionFileLoader('extra', path)
            module = loader.create_module(importlib.util.spec_from_loader('extra', loader))
            loader.exec_module(module)
            with open(os.environ['WITNESS'], 'a') as file:
                file.write(module.__name__)
"""


def link_to_the_folder(application: Application) -> None:
    changed(application)
    (application.folder / "alias").symlink_to("plugins/alpha")


def link_below_the_folder(application: Application) -> None:
    changed(application)
    application.write("alpha/inside/data.txt", "")
    (application.folder / "alias").symlink_to("plugins/alpha/inside")


def link_to_everything(application: Application) -> None:
    changed(application)
    (application.folder / "everything").symlink_to("/")


def link_to_the_file(application: Application) -> None:
    changed(application)
    (application.folder / "alias.py").symlink_to("plugins/alpha/helper.py")


def by_location(path: str, before: str = "") -> str:
    return (
        f"import importlib.util, os\n{before}\n"
        f"spec = importlib.util.spec_from_file_location('anything', {path})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))"
    )


# Put before a script: another finder is first and finds plugins in another folder, as those of
# editable installs do.
ELSEWHERE = """
import importlib, importlib.machinery, os, sys

class Elsewhere:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition('.')[0] != 'plugins':
            return None
        path = [os.path.abspath('evil')] if path is None else path
        return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path.insert(0, Elsewhere)
"""

RACE = """
import threading
# Else each call of the system in one thread waits 5 ms for the other, where nothing else runs.
sys.setswitchinterval(0.00001)
done = threading.Event()

def forget():
    for name in [n for n in sys.modules if n.partition('.')[0] == 'plugins']:
        sys.modules.pop(name, None)

def displace():
    while not done.is_set():
        sys.meta_path.insert(0, Elsewhere)
        sys.meta_path.remove(Elsewhere)

# What the guard loads, it loads before: the race makes any import skip finders, those of others too.
try:
    import plugins.alpha.api
except ImportError:
    pass
forget()

thread = threading.Thread(target=displace)
thread.start()
try:
    for _ in range(300):
        try:
            import plugins.alpha.api
        except ImportError as error:
            if error.refusal.kind != 'unverified_code':
                raise
        forget()
finally:
    done.set()
    thread.join()
# The race may end either way; this round cannot.
sys.meta_path.insert(0, Elsewhere)
importlib.import_module('plugins.alpha.api')
"""


def reimported(also: str = "") -> str:
    """Take the guard out of ``sys.modules`` and import it again, with another root."""
    return f"""
        import os, sys, plugins.alpha
        os.environ['CODEGENIE_PLUGINS_ROOT'] = 'evil/plugins'
        sys.path.insert(0, 'evil')
        guarded = 'codegenie.plugins.guard' in sys.modules
        {also or "pass"}
        for name in [n for n in sys.modules if n.partition('.')[0] in ('codegenie', 'plugins')]:
            del sys.modules[name]
        if guarded:
            import codegenie.plugins.guard
        import plugins.alpha.api
    """


# The same, with a loader that executes by itself, as those of test runners and packers do.
OWN_EXECUTION = """
import importlib, importlib.util, os, sys

class Packed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        origin = os.path.abspath('evil/' + name.rpartition('.')[2] + '.py')
        if os.path.exists(origin):
            return importlib.util.spec_from_file_location(name, origin, loader=Packed)
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        origin = module.__spec__.origin
        exec(compile(open(origin).read(), origin, 'exec'), module.__dict__)

import plugins.alpha.api
sys.meta_path.insert(0, Packed)
"""


def from_nowhere(path: str) -> str:
    """Execute a file by a path that is relative to a working folder which is gone."""
    return f"""
        import importlib.util, os
        os.mkdir('gone')
        os.chdir('gone')
        os.rmdir('../gone')
        spec = importlib.util.spec_from_file_location('anything', {path!r})
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """


def linked(application: Application) -> None:
    (application.folder / "link.py").symlink_to("plugins/alpha/helper.py")


def linked_and_changed(application: Application) -> None:
    linked(application)
    changed(application)


def machine_code_elsewhere(application: Application) -> None:
    """Prepare a second ``plugins/alpha`` of namespace packages, with an extension module."""
    folder = application.folder / "evil" / "plugins" / "alpha"
    folder.mkdir(parents=True)
    (folder / f"extra{SUFFIX}").write_bytes(machine_code())


# Put before a script: a tracer wraps the find_spec of what finds plugins, and changes what it found.
TRACER = """
import importlib, importlib.machinery, importlib.util, sys, types

guarded = 'codegenie.plugins.guard' in sys.modules
finder = sys.meta_path[0] if guarded else importlib.machinery.PathFinder
genuine = finder.find_spec

def traced(name, *arguments, **named):
    spec = genuine(name, *arguments, **named)
    return change(spec) or spec if name == 'plugins.alpha.helper' else spec

def other():
    return compile(EVIL, '<traced>', 'exec')

def run(code, namespace):
    exec(code, namespace)

class Own:
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        exec(other(), vars(module))

finder.find_spec = traced
"""


def traced(change: str) -> str:
    return f"{TRACER}\ndef change(spec):\n    {change}\n\nimport plugins.alpha.api"


LOAD_MODULE = Need("load_module, which Python 3.15 removed", sys.version_info < (3, 15))


def by_name(before: Expected, since: Expected) -> Expected:
    """Return what ``importlib.import_module`` leads to while the guard is displaced.

    Args:
        before: up to Python 3.14 it raises no audit event, so a module that another finder found
            is refused when its code is about to run.
        since: from Python 3.15 on it raises the event of an import statement, so the guard is first
            again before CPython calls any finder.
    """
    return since if sys.version_info >= (3, 15) else before


def past_the_guard(module: str, since: Expected | None = None) -> Expected:
    """Return the refusal of a changed module that another finder found; see ``by_name``."""
    refused = Refused("unverified_code", at=f"plugins/alpha/{module}.py", says="another finder")
    return by_name(refused, since or refused)


HELPER = "'plugins/alpha/helper.py'"
REMOVE = "import importlib, sys; sys.meta_path[:] = without_guard()\n"
CLEARED = "import importlib.machinery, importlib.util, sys; sys.meta_path.clear()\n"
ASK_PATH_FINDER = """
path = [__import__('os').path.abspath('plugins/alpha')]
spec = importlib.machinery.PathFinder.find_spec('plugins.alpha.helper', path)
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
# The path hook of the guard is a bound method, and CPython's own are none.
UNHOOK = """
sys.path_hooks[:] = [hook for hook in sys.path_hooks if not hasattr(hook, '__self__')]
sys.path_importer_cache.clear()
"""
CHANGE_LATER = "import plugins.alpha\nopen('plugins/alpha/helper.py', 'w').write(EVIL)\n"

# Runs code while the interpreter ends, when it ignores exceptions: so the object that runs it reports
# what was raised, and ends the process. In the code are no names that the interpreter takes away.
AT_THE_END = """
import importlib.machinery, importlib.util, os, sys
import plugins.alpha

witness = os.open(os.environ['WITNESS'], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
names = {'put': os.write, 'to': witness}
FOUND

class Resource:
    def __del__(self, run=run, report=sys.excepthook, end=os._exit):
        try:
            run()
        except BaseException as error:
            report(type(error), error, None)
            end(1)

sys.excepthook = sys.__excepthook__  # which would keep this module until nothing can be reported
keep = Resource()
keep.me = keep
"""

BY_PATH = """
code = compile("put(to, b'PAYLOAD ')", PATH, 'exec')

def run(run=exec, code=code, names=names):
    run(code, names)
"""

UNDER_A_NAME = """
class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        return code

code = compile("put(to, b'PAYLOAD ')", PATH, 'exec')
spec = importlib.util.spec_from_loader('plugins.alpha.extra', Loader('plugins.alpha.extra', 'x.py'))
module = importlib.util.module_from_spec(spec)
vars(module).update(names)

def run(execute=spec.loader.exec_module, module=module):
    execute(module)
"""

BYTECODE = """
import py_compile
open('payload.txt', 'w').write("put(to, b'PAYLOAD ')")
py_compile.compile('payload.txt', 'plugins/alpha/extra.pyc', dfile='elsewhere.py')

class Loader(importlib.machinery.SourcelessFileLoader):
    def get_data(self, path, open=os.open, read=os.read):
        return read(open(path, os.O_RDONLY), 10000)

loader = Loader('extra', 'plugins/alpha/extra.pyc')
module = importlib.util.module_from_spec(importlib.util.spec_from_loader('extra', loader))
vars(module).update(names)

def run(execute=loader.exec_module, module=module):
    execute(module)
"""

ENDS = Refused("unverified_code", says="while the interpreter ends")


def at_the_end(found: str, path: str = "''") -> str:
    return AT_THE_END.replace("FOUND", found.replace("PATH", path))


OTHER_CODE = Refused("unverified_code", at="plugins/alpha/helper.py", says="compile to")
NOWHERE = Refused("unverified_code", says="not in the plugin folder")

# Wrap a loader of another finder, as tracers, coverage tools and transformers do.
TRACERS = {
    "get-code": "spec.loader.get_code = lambda name: other()",
    "get-code-by-its-name": (
        "spec.loader.get_code = lambda name: compile(EVIL, spec.origin, 'exec')"
    ),
    "get-data": "spec.loader.get_data = lambda path: EVIL.encode()",
    "source-to-code": "spec.loader.source_to_code = lambda *given, **named: other()",
    "exec-module": "spec.loader.exec_module = lambda module: exec(other(), vars(module))",
    "exec-module-by-a-helper": (
        "spec.loader.exec_module = lambda module: run(other(), vars(module))"
    ),
    "exec-module-elsewhere": (
        "spec.loader.exec_module = lambda module: run(other(), dict(vars(module)))"
    ),
    "exec-module-of-text": "spec.loader.exec_module = lambda module: exec(EVIL, vars(module))",
    "exec-module-profiled": (
        "from cProfile import Profile\n    spec.loader.exec_module = "
        "lambda module: Profile().runctx(other(), vars(module), vars(module))"
    ),
    "exec-module-by-importlib": (
        "spec.loader.exec_module = lambda module: "
        "importlib._bootstrap._call_with_frames_removed(exec, other(), vars(module))"
    ),
    "create-module": (
        "def create(spec):\n        module = types.ModuleType(spec.name)\n"
        "        exec(other(), vars(module))\n        return module\n"
        "    spec.loader.create_module = create"
    ),
    "class-of-the-loader": (
        "spec.loader.__class__ = type('Traced', (type(spec.loader),), "
        "{'get_code': lambda self, name: other()})"
    ),
    "method-of-the-class": "type(spec.loader).get_code = lambda self, name: other()",
    "exec-module-of-the-class": (
        "type(spec.loader).exec_module = lambda self, module: exec(other(), vars(module))"
    ),
    "wrapping-loader": "spec.loader = Own",
}

OLD_IMP = (
    Attack(
        "displacement/imp",
        "imp.load_source on a changed file.",
        MISMATCH,
        f"import imp; imp.load_source('anything', {HELPER})",
        changed,
    ),
)

TRACED = (
    *(
        Attack(
            f"displacement/traced-{name}",
            "A tracer replaces a method of the loader that the guard has made, or the loader.",
            OTHER_CODE,
            traced(change),
        )
        for name, change in TRACERS.items()
    ),
    Attack(
        "displacement/traced-path",
        "A tracer has the loader read another file.",
        Ignored(),
        traced("spec.loader.path = __import__('os').path.abspath('evil/helper.py')"),
        evil_helper,
    ),
    Attack(
        "displacement/traced-under-another-name",
        "The spec is of a module outside of the folder, which is imported as a plugin's.",
        Refused("unverified_code", at="evil/helper.py", says="not in the plugin folder"),
        traced("return importlib.util.spec_from_file_location('other', 'evil/helper.py')"),
        evil_helper,
    ),
    Attack(
        "displacement/traced-under-another-name-and-origin",
        "The same, and only the loader names the file of the plugin.",
        OTHER_CODE,
        traced(
            "spec.loader.get_code = lambda name: other()\n"
            "    spec.name, spec.origin = 'other', 'elsewhere.py'"
        ),
    ),
    Attack(
        "displacement/traced-own-execution-under-another-name",
        "The same, with a loader that executes by itself.",
        NOWHERE,
        traced("return importlib.util.spec_from_loader('other', Own)"),
    ),
    Attack(
        "displacement/finds-once",
        "A finder takes itself off while it finds: when the code runs, the guard is first.",
        NOWHERE,
        f"""
{TRACER}
class Once:
    @staticmethod
    def find_spec(name, path=None, target=None):
        sys.meta_path.remove(Once)
        return importlib.util.spec_from_loader(name, Own)

def change(spec):
    pass

import plugins.alpha.helper
sys.meta_path.insert(0, Once)
importlib.reload(plugins.alpha.helper)
""",
    ),
)

THE_END = (
    Attack(
        "displacement/at-the-end",
        "An object runs code of the folder when the interpreter ends, and nothing can be imported.",
        ENDS,
        at_the_end(BY_PATH, "os.path.abspath('plugins/alpha/helper.py')"),
    ),
    Attack(
        "displacement/at-the-end-by-a-link",
        "The same, by a link to one file of the folder.",
        ENDS,
        at_the_end(BY_PATH, "'link.py'"),
        linked,
    ),
    Attack(
        "displacement/at-the-end-by-a-planted-folder",
        "The same, by a link to the guarded folder, in which a folder became a link that leads out.",
        ENDS,
        at_the_end(PLANT_A_FOLDER + BY_PATH, "'alias/alpha/vendored/tool.py'"),
        folder_elsewhere,
    ),
    Attack(
        "displacement/at-the-end-before-any-plugin",
        "The same in a program that has imported no plugin, so the guard has looked for no folder.",
        Closed("does not run while the interpreter ends"),
        at_the_end(BY_PATH, "os.path.abspath('plugins/alpha/helper.py')").replace(
            "import plugins.alpha\n", ""
        ),
    ),
    Attack(
        "displacement/at-the-end-by-a-link-of-a-shared-folder",
        "The same in a shared folder, by a link of a name without a lock that leads to a unit.",
        Closed("does not run while the interpreter ends"),
        at_the_end(BY_PATH, "os.path.abspath('plugins/other/helper.py')"),
        lambda application: (application.root / "other").symlink_to("alpha"),
        settings={"root": "plugins", "package": None, "others": "leave"},
    ),
    Attack(
        "displacement/at-the-end-of-a-data-file",
        "The same, made of a file without a suffix.",
        ENDS,
        at_the_end(BY_PATH, "'plugins/alpha/plugin.yaml'"),
    ),
    Attack(
        "displacement/at-the-end-under-a-plugins-name",
        "The same, by a loader, as a module of a plugin that is in no folder.",
        ENDS,
        at_the_end(UNDER_A_NAME, "'<made up>'"),
    ),
    Attack(
        "displacement/at-the-end-under-a-plugins-name-elsewhere",
        "The same with code that names a file outside the plugin folder.",
        ENDS,
        at_the_end(UNDER_A_NAME, "os.path.abspath('elsewhere/extra.py')"),
    ),
    Attack(
        "displacement/at-the-end-of-bytecode",
        "The same, by a loader that reads bytecode of the folder.",
        Closed("does not let it be read", raised="PermissionError"),
        at_the_end(BYTECODE),
    ),
)

ATTACKS = (
    *TRACED,
    *THE_END,
    # --- the guard is not first any more ------------------------------------------------------
    Attack(
        "displacement/removed",
        "The guard is taken off sys.meta_path.",
        MISMATCH,
        REMOVE + "import plugins.alpha.api",
        changed,
    ),
    Attack(
        "displacement/removed-by-name",
        "The same, and importlib.import_module, which raises no audit event up to 3.14.",
        past_the_guard("api", MISMATCH),
        REMOVE + "importlib.import_module('plugins.alpha.api')",
        changed,
    ),
    Attack(
        "displacement/removed-by-dunder-import",
        "The same, and importlib.__import__, which raised none either.",
        past_the_guard("helper", MISMATCH),
        REMOVE + "importlib.__import__('plugins.alpha.helper')",
        changed,
    ),
    Attack(
        "displacement/removed-later",
        "It is taken off after the plugin has passed, and a module changes.",
        CHANGED_SINCE,
        CHANGE_LATER + REMOVE + "import plugins.alpha.helper",
    ),
    Attack(
        "displacement/removed-later-by-name",
        "The same, importlib.import_module, and no finder of the guard is left for its folders.",
        past_the_guard("helper", CHANGED_SINCE),
        CHANGE_LATER + REMOVE + UNHOOK + "importlib.import_module('plugins.alpha.helper')",
    ),
    Attack(
        "displacement/removed-reload",
        "The same with importlib.reload.",
        past_the_guard("helper"),
        "import plugins.alpha.helper\n"
        + CHANGE_LATER
        + REMOVE
        + UNHOOK
        + "importlib.reload(plugins.alpha.helper)",
    ),
    Attack(
        "displacement/removed-elsewhere",
        "The guard is taken off, and a second plugins/ lies earlier on the path.",
        Ignored("plugins.alpha.api"),
        REMOVE + "sys.path.insert(0, 'evil')\nimport plugins.alpha.api",
        second_folder,
    ),
    Attack(
        "displacement/removed-elsewhere-by-name",
        "The same, and importlib.import_module.",
        by_name(
            Refused("unverified_code", plugin="plugins", at="evil/plugins/__init__.py"),
            VERIFIED_RAN,
        ),
        REMOVE + "import os; sys.path.insert(0, os.path.abspath('evil'))\n"
        "importlib.import_module('plugins.alpha.api')",
        second_folder,
    ),
    Attack(
        "displacement/cleared",
        "sys.meta_path is emptied, and PathFinder asked directly.",
        Closed("cannot load its own code"),
        CLEARED + ASK_PATH_FINDER,
        changed,
    ),
    Attack(
        "displacement/cleared-later",
        "The same, after the plugin has passed.",
        past_the_guard("helper"),
        CHANGE_LATER + CLEARED + UNHOOK + ASK_PATH_FINDER,
    ),
    Attack(
        "displacement/rebound",
        "sys.meta_path is another list.",
        MISMATCH,
        "import sys; sys.meta_path = without_guard()\nimport plugins.alpha.api",
        changed,
    ),
    Attack(
        "displacement/rebound-by-name",
        "The same, and importlib.import_module.",
        past_the_guard("api", MISMATCH),
        "import importlib, sys; sys.meta_path = without_guard()\n"
        "importlib.import_module('plugins.alpha.api')",
        changed,
    ),
    Attack(
        "displacement/rebound-to-a-tuple",
        "sys.meta_path is a tuple, which nothing can be put into.",
        MISMATCH,
        "import sys; sys.meta_path = tuple(without_guard())\nimport plugins.alpha.api",
        changed,
    ),
    Attack(
        "displacement/stubborn-list",
        "sys.meta_path is a list that takes no changes.",
        MISMATCH,
        """
        import sys
        class Stubborn(list):
            def __setitem__(self, index, value): pass
            def insert(self, index, value): pass
        sys.meta_path = Stubborn(without_guard())
        import plugins.alpha.api
        """,
        changed,
    ),
    Attack(
        "displacement/another-first",
        "Another finder is before the guard.",
        VERIFIED_RAN,
        ELSEWHERE + "import plugins.alpha.api",
        second_folder,
    ),
    Attack(
        "displacement/another-first-by-name",
        "The same, and importlib.import_module.",
        by_name(
            Refused("unverified_code", plugin="plugins", at="evil/plugins/__init__.py"),
            VERIFIED_RAN,
        ),
        ELSEWHERE + "importlib.import_module('plugins.alpha.api')",
        second_folder,
    ),
    Attack(
        "displacement/another-first-later",
        "The same, for a module that a plugin does not have which has passed.",
        by_name(Refused("unverified_code", at="evil/extra.py"), NotThere("plugins.alpha.extra")),
        """
        import importlib, importlib.util, os, sys, plugins.alpha.api

        class Elsewhere:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == 'plugins.alpha.extra':
                    return importlib.util.spec_from_file_location(name, os.path.abspath('evil/extra.py'))

        sys.meta_path.insert(0, Elsewhere)
        importlib.import_module('plugins.alpha.extra')
        """,
        evil_module,
    ),
    Attack(
        "displacement/racing-finder",
        "A thread puts another finder first all the time.",
        by_name(
            Refused("unverified_code", plugin="plugins", at="evil/plugins/__init__.py"),
            VERIFIED_RAN,
        ),
        ELSEWHERE + RACE,
        second_folder,
    ),
    # --- the guard itself -----------------------------------------------------------------------
    Attack(
        "displacement/guard-reloaded",
        "The guard is reloaded.",
        MISMATCH,
        """
        import importlib, sys
        if 'codegenie.plugins.guard' in sys.modules:
            importlib.reload(sys.modules['codegenie.plugins.guard'])
        import plugins.alpha.api
        """,
        changed,
    ),
    Attack(
        "displacement/guard-again",
        "All of the guard is imported again, with another root.",
        VERIFIED_RAN,
        reimported(),
        valid_second_folder,
    ),
    Attack(
        "displacement/guard-again-removed",
        "The same, and the first one is taken off sys.meta_path.",
        VERIFIED_RAN,
        reimported("sys.meta_path[:] = without_guard()"),
        valid_second_folder,
    ),
    # --- files, by their path -------------------------------------------------------------------
    Attack(
        "displacement/spec-of-changed",
        "spec_from_file_location on a changed file.",
        MISMATCH,
        by_location(HELPER),
        changed,
    ),
    Attack(
        "displacement/spec-of-added",
        "spec_from_file_location on a file that was added.",
        MISMATCH,
        by_location("'plugins/alpha/extra.py'"),
        added,
    ),
    Attack(
        "displacement/spec-of-added-later",
        "The same, after the plugin has passed.",
        MISMATCH,
        by_location(
            "'plugins/alpha/extra.py'",
            "import plugins.alpha; open('plugins/alpha/extra.py', 'w').write(PAYLOAD)",
        ),
    ),
    Attack(
        "displacement/spec-of-changed-later",
        "spec_from_file_location on a file that changes after the plugin has passed.",
        CHANGED_SINCE,
        by_location(HELPER, CHANGE_LATER),
    ),
    Attack(
        "displacement/spec-of-stray",
        "spec_from_file_location on a file of no plugin.",
        Refused("unlocked_plugin", plugin="stray.py"),
        by_location("'plugins/stray.py'"),
        stray,
    ),
    Attack(
        "displacement/spec-of-stray-later",
        "The same, after all plugins have passed.",
        Refused("unverified_code", plugin="plugins", at="plugins/stray.py"),
        by_location(
            "os.path.abspath('plugins/stray.py')",
            "import plugins.alpha; open('plugins/stray.py', 'w').write(PAYLOAD)",
        ),
    ),
    Attack(
        "displacement/spec-with-guarded-name",
        "spec_from_file_location of a file elsewhere, as a module of a plugin.",
        Refused("unverified_code", at="evil/plugins/alpha/extra.py"),
        """
        import importlib.util, plugins.alpha, sys
        spec = importlib.util.spec_from_file_location('plugins.alpha.extra', 'evil/plugins/alpha/extra.py')
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        """,
        second_folder,
    ),
    Attack(
        "displacement/source-file-loader",
        "SourceFileLoader on a changed file.",
        MISMATCH,
        f"""
        import importlib.machinery, os, types
        loader = importlib.machinery.SourceFileLoader('anything', os.path.abspath({HELPER}))
        loader.exec_module(types.ModuleType('anything'))
        """,
        changed,
    ),
    Attack(
        "displacement/source-loader-any-name",
        "SourceFileLoader on a file with any name, for a module without a spec.",
        MISMATCH,
        """
        import importlib.machinery, os, types
        path = os.path.abspath('plugins/alpha/extra.txt')
        importlib.machinery.SourceFileLoader('anything', path).exec_module(types.ModuleType('anything'))
        """,
        added_with_any_name,
    ),
    Attack(
        "displacement/spec-of-any-name",
        "The same for a module with a spec.",
        MISMATCH,
        """
        import importlib.machinery, importlib.util, os
        path = os.path.abspath('plugins/alpha/extra.txt')
        loader = importlib.machinery.SourceFileLoader('anything', path)
        spec = importlib.util.spec_from_file_location('anything', path, loader=loader)
        loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        added_with_any_name,
    ),
    Attack(
        "displacement/load-module",
        "The old load_module on a changed file.",
        MISMATCH,
        f"""
        import importlib.machinery, os
        importlib.machinery.SourceFileLoader('anything', os.path.abspath({HELPER})).load_module()
        """,
        changed,
        flags=("-W", "ignore::DeprecationWarning"),
        needs=LOAD_MODULE,
    ),
    Attack(
        "displacement/lazy-loader",
        "LazyLoader on a changed file, which runs when an attribute is read.",
        MISMATCH,
        f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location('anything', {HELPER})
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules['anything'] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        print(module.VALUE)
        """,
        changed,
    ),
    Attack(
        "displacement/get-importer",
        "pkgutil.get_importer for the plugin's folder, by a relative path.",
        MISMATCH,
        """
        import importlib.util, pkgutil
        spec = pkgutil.get_importer('plugins/alpha').find_spec('helper')
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        changed,
    ),
    Attack(
        "displacement/run-path",
        "runpy.run_path on a changed file.",
        MISMATCH,
        f"import runpy; runpy.run_path({HELPER})",
        changed,
    ),
    Attack(
        "displacement/run-path-of-folder",
        "runpy.run_path on a plugin's folder, for its __main__.",
        MISMATCH,
        "import runpy; runpy.run_path('plugins/alpha')",
        main_of_the_folder,
    ),
    Attack(
        "displacement/compiled-by-hand",
        "exec(compile(...)) of a changed file under its name.",
        MISMATCH,
        f"""
        import os
        path = os.path.abspath({HELPER})
        exec(compile(open(path).read(), path, 'exec'))
        """,
        changed,
    ),
    Attack(
        "displacement/folder-on-path",
        "The plugin's folder on sys.path.",
        MISMATCH,
        "import sys; sys.path.insert(0, 'plugins/alpha')\nimport helper",
        changed,
    ),
    Attack(
        "displacement/folder-on-path-later",
        "The same, and the module changes after the plugin has passed.",
        CHANGED_SINCE,
        CHANGE_LATER
        + "import sys, os; sys.path.insert(0, os.path.abspath('plugins/alpha'))\nimport helper",
    ),
    Attack(
        "displacement/root-on-path",
        "plugins/ itself on sys.path.",
        MISMATCH,
        "import sys; sys.path.insert(0, 'plugins')\nimport alpha.helper",
        changed,
    ),
    Attack(
        "displacement/dotted-path",
        "A path through another folder and back.",
        MISMATCH,
        by_location("'evil/../plugins/./alpha/../alpha/helper.py'", "os.mkdir('evil')"),
        changed,
    ),
    Attack(
        "displacement/alias-of-the-folder",
        "The plugin's folder by a link outside the plugin folder.",
        MISMATCH,
        "import sys; sys.path.insert(0, 'alias')\nimport helper",
        link_to_the_folder,
    ),
    Attack(
        "displacement/doubled-slash",
        "The plugin's folder on sys.path, with a slash more than it takes.",
        MISMATCH,
        "import os, sys; sys.path.insert(0, os.getcwd() + '//plugins/alpha')\nimport helper",
        changed,
    ),
    Attack(
        "displacement/leading-slashes",
        "The same with two slashes at the beginning, which normalising keeps.",
        MISMATCH,
        "import os, sys; sys.path.insert(0, '/' + os.getcwd() + '/plugins/alpha')\nimport helper",
        changed,
    ),
    Attack(
        "displacement/above-a-link",
        "The plugin's folder as what is above a link to a folder in it.",
        MISMATCH,
        "import os, sys; sys.path.insert(0, os.getcwd() + '/alias/..')\nimport helper",
        link_below_the_folder,
    ),
    Attack(
        "displacement/link-to-everything",
        "The plugin's folder through a link to the root of the file system.",
        MISMATCH,
        "import os, sys; sys.path.insert(0, 'everything' + os.getcwd() + '/plugins/alpha')\n"
        "import helper",
        link_to_everything,
    ),
    Attack(
        "displacement/alias-of-the-file",
        "A changed file by a link outside the plugin folder.",
        MISMATCH,
        "import sys\nimport alias",
        link_to_the_file,
    ),
    Attack(
        "displacement/alias-made-later",
        "A folder is exchanged for a link to the plugin's after honest code was run from it.",
        MISMATCH,
        """
        import os, shutil, sys
        sys.path.insert(0, os.path.abspath('honest'))
        import module
        shutil.rmtree('honest')
        os.symlink('plugins/alpha', 'honest')
        sys.path_importer_cache.clear()
        import helper
        """,
        honest_folder,
    ),
    Attack(
        "displacement/angle-bracket",
        "A path that begins as the names of code do that is in no file.",
        MISMATCH,
        "import os, runpy; os.mkdir('<'); runpy.run_path('</../plugins/alpha/helper.py')",
        changed,
    ),
    Attack(
        "displacement/str-subclass",
        "A path that is an object of a class derived from str, as some libraries have them.",
        MISMATCH,
        f"import runpy\nclass Path(str): pass\nrunpy.run_path(Path({HELPER}))",
        changed,
    ),
    Attack(
        "displacement/alias-by-the-kernel",
        "A changed file by /proc/self/cwd.",
        MISMATCH,
        by_location("'/proc/self/cwd/plugins/alpha/helper.py'"),
        changed,
    ),
    Attack(
        "displacement/working-folder",
        "A changed file by a bare name, from within the plugin's folder.",
        MISMATCH,
        "import os, runpy; os.chdir('plugins/alpha'); runpy.run_path('helper.py')",
        changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/root-as-working-folder",
        "A module run by its name, from within plugins/.",
        Refused("integrity_mismatch", within="ImportError"),
        "import os, runpy; os.chdir('plugins'); runpy.run_module('alpha.helper')",
        changed,
        settings={"root": "plugins"},
    ),
    # --- not source -----------------------------------------------------------------------------
    Attack(
        "displacement/zip",
        "A zip in the plugin's folder on sys.path.",
        MISMATCH,
        "import sys; sys.path.insert(0, 'plugins/alpha/code.zip')\nimport evil",
        zipped,
    ),
    Attack(
        "displacement/zip-with-bytecode",
        "The same, with bytecode that claims to come from elsewhere.",
        MISMATCH,
        "import sys; sys.path.insert(0, 'plugins/alpha/code.zip')\nimport evil",
        zipped_bytecode,
    ),
    Attack(
        "displacement/zip-run",
        "runpy.run_path on a zip in the plugin's folder.",
        MISMATCH,
        "import runpy; runpy.run_path('plugins/alpha/code.zip')",
        zipped,
    ),
    Attack(
        "displacement/zip-load-module",
        "zipimporter.load_module, with bytecode that claims to come from elsewhere.",
        MISMATCH,
        "import zipimport; zipimport.zipimporter('plugins/alpha/code.zip').load_module('evil')",
        zipped_bytecode,
        flags=("-W", "ignore::DeprecationWarning"),
        needs=LOAD_MODULE,
    ),
    Attack(
        "displacement/zip-of-another-origin",
        "zipimporter with a spec that names another origin than the archive.",
        MISMATCH,
        """
        import importlib.util, zipimport
        loader = zipimport.zipimporter('plugins/alpha/code.zip')
        spec = importlib.util.spec_from_loader('evil', loader, origin='evil')
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        zipped_bytecode,
    ),
    Attack(
        "displacement/zip-locked",
        "The same with a zip that is locked: nothing binds the code to what was hashed.",
        Refused("unverified_code", at="plugins/alpha/code.zip/evil.py"),
        "import os, sys; sys.path.insert(0, os.path.abspath('plugins/alpha/code.zip'))\nimport evil",
        locked_zip,
    ),
    Attack(
        "displacement/own-execution",
        "Another finder is first, and its loader calls exec() by itself.",
        by_name(
            Refused("unverified_code", at="evil/extra.py", says="another finder"),
            NotThere("plugins.alpha.extra"),
        ),
        OWN_EXECUTION + "importlib.import_module('plugins.alpha.extra')",
        evil_module,
    ),
    Attack(
        "displacement/own-execution-reload",
        "The same for a module that is reloaded.",
        Refused("unverified_code", at="evil/helper.py", says="another finder"),
        OWN_EXECUTION + "importlib.reload(plugins.alpha.helper)",
        evil_helper,
    ),
    Attack(
        "displacement/own-execution-by-the-library",
        "The same, and the loader has the standard library execute the code.",
        Refused("unverified_code", at="evil/helper.py", says="another finder"),
        OWN_EXECUTION.replace("exec(", "__import__('bdb').Bdb().run(").replace(
            "module.__dict__)", "dict(vars(module)))"
        )
        + "importlib.reload(plugins.alpha.helper)",
        evil_helper,
    ),
    Attack(
        "displacement/own-execution-by-the-profiler",
        "The same by cProfile, whose code is in another module since Python 3.15.",
        Refused("unverified_code", at="evil/helper.py", says="another finder"),
        OWN_EXECUTION.replace("exec(", "__import__('cProfile').Profile().runctx(").replace(
            "module.__dict__)", "{}, {})"
        )
        + "importlib.reload(plugins.alpha.helper)",
        evil_helper,
    ),
    Attack(
        "displacement/harmless-finder",
        "A finder that finds nothing is first; a verified module runs a file that has changed.",
        Refused("integrity_mismatch", tree_as_it_is=False),
        """
        import importlib, sys
        import plugins
        with open('plugins/alpha/settings.py', 'a') as file:
            file.write(open('payload.txt').read())
        class Harmless:
            @staticmethod
            def find_spec(name, path=None, target=None):
                return None
        sys.meta_path.insert(0, Harmless)
        importlib.import_module('plugins.alpha.runs')
        """,
        runs_a_file,
    ),
    Attack(
        "displacement/no-meta-path",
        "sys.meta_path is None, as when the interpreter ends; then a changed file is executed.",
        Refused("integrity_mismatch", tree_as_it_is=False),
        """
        import importlib.util, sys
        import plugins.alpha.api
        with open('plugins/alpha/helper.py', 'a') as file:
            file.write(open('payload.txt').read())
        sys.meta_path = None
        spec = importlib.util.spec_from_file_location('anything', 'plugins/alpha/helper.py')
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
        payload_beside,
    ),
    Attack(
        "displacement/working-folder-gone",
        "A changed file by a relative path, from a working folder that was removed.",
        MISMATCH,
        from_nowhere("../plugins/alpha/helper.py"),
        changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/working-folder-gone-link",
        "The same through a link to the file.",
        MISMATCH,
        from_nowhere("../link.py"),
        linked_and_changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/bracketed-name",
        "A file with the name of generated code is run by its path.",
        MISMATCH,
        "import os, runpy; os.chdir('plugins/alpha'); runpy.run_path('<evil>')",
        bracketed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/script-without-suffix",
        "A changed script with no module's name, by a tool that compiles it under its own name.",
        MISMATCH,
        prepare=script_changed,
        arguments=("-m", "cProfile", "plugins/alpha/tool"),
    ),
    Attack(
        "displacement/file-of-the-root",
        "A script in the folder itself, where a plugin called plugins has a verified one.",
        Refused("unverified_code", plugin="plugins", at="plugins/tool"),
        """
        import os
        path = os.path.abspath('plugins/tool')
        exec(compile(open(path).read(), path, 'exec'))
        """,
        prepare=script_in_the_root,
    ),
    Attack(
        "displacement/template",
        "Code that is made of a changed data file, and is named like it.",
        MISMATCH,
        """
        path = 'plugins/alpha/tool'
        exec(compile('# generated\\n' + open(path).read(), path, 'exec'))
        """,
        script_changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/extension-elsewhere",
        "The guard is removed, and an extension module of a second plugins/ is imported by name.",
        by_name(
            Refused("unverified_code", at=f"evil/plugins/alpha/extra{SUFFIX}"),
            NotThere("plugins.alpha.extra"),
        ),
        REMOVE + "import os; sys.path.insert(0, os.path.abspath('evil'))\n"
        "importlib.import_module('plugins.alpha.extra')",
        machine_code_elsewhere,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/extension-with-guarded-name",
        "spec_from_file_location, under a guarded name, on an extension module from elsewhere.",
        Refused("unverified_code", at=f"evil/plugins/alpha/extra{SUFFIX}"),
        f"""
        import importlib.util, os, plugins.alpha
        path = os.path.abspath('evil/plugins/alpha/extra{SUFFIX}')
        spec = importlib.util.spec_from_file_location('plugins.alpha.extra', path)
        importlib.util.module_from_spec(spec)
        """,
        machine_code_elsewhere,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/extension",
        "spec_from_file_location on an extension module that was added.",
        MISMATCH,
        f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location('extra', 'plugins/alpha/extra{SUFFIX}')
        importlib.util.module_from_spec(spec)
        """,
        machine_code_added,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/extension-exchanged",
        "ExtensionFileLoader on a locked one, which is exchanged after the check.",
        Ignored("extra"),
        EXCHANGE + "        load(locked)",
        machine_code_to_exchange,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/extension-by-alias",
        "The same by a link outside the plugin folder.",
        Ignored("extra"),
        EXCHANGE + "        os.symlink(locked, 'link.so'); load('./link.so')",
        machine_code_to_exchange,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/extension-changed",
        "ExtensionFileLoader on one that was changed after the plugin passed.",
        Refused("integrity_mismatch", tree_as_it_is=False),
        EXCHANGE + "        import plugins.alpha; os.replace('evil.so', locked); load(locked)",
        machine_code_to_exchange,
        needs=A_COMPILER,
    ),
    Attack(
        "displacement/library",
        "ctypes.CDLL on a library that was added.",
        MISMATCH,
        f"import ctypes; ctypes.CDLL('plugins/alpha/extra{SUFFIX}')",
        machine_code_added,
        needs=A_COMPILER,
    ),
    # --- scripts, where a sitecustomize has switched the guard on -----------------------------
    Attack(
        "displacement/script",
        "python plugins/alpha/helper.py, which is a changed file.",
        MISMATCH,
        arguments=("plugins/alpha/helper.py",),
        prepare=changed,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/script-any-name",
        "python plugins/alpha/extra.txt, which was added.",
        MISMATCH,
        arguments=("plugins/alpha/extra.txt",),
        prepare=added_with_any_name,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/script-by-alias",
        "python alias.py, a link to a changed file.",
        MISMATCH,
        arguments=("alias.py",),
        prepare=link_to_the_file,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/folder-as-a-script",
        "python plugins/alpha, for its __main__.",
        MISMATCH,
        arguments=("plugins/alpha",),
        prepare=main_of_the_folder,
        settings={"root": "plugins"},
    ),
    Attack(
        "displacement/zip-as-a-script",
        "python plugins/alpha/code.zip",
        MISMATCH,
        arguments=("plugins/alpha/code.zip",),
        prepare=zipped,
        settings={"root": "plugins"},
    ),
    *(OLD_IMP if sys.version_info < (3, 12) else ()),
)
