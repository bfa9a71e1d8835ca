"""Several guarded folders in one process, under packages, top-level names, and by path only."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import textwrap
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.attacks.native import A_COMPILER, machine_code
from tests.fixtures.environments import Environment
from tests.fixtures.trees import WITNESS, Application, Outcome, oracle

ADD = "import codegenie.plugins.guard as guard\nguard.add('integrations', package='integrations')\n"


@pytest.fixture
def application(tmp_path: Path) -> Application:
    """``plugins`` and ``integrations``, each with a plugin ``alpha``."""
    application = Application(tmp_path)
    Application(tmp_path, "integrations")
    return application


def other(application: Application) -> Path:
    return application.folder / "integrations"


def with_both(application: Application, script: str) -> Outcome:
    """Run a script with both folders guarded."""
    return application.run(ADD + textwrap.dedent(script))


def test_two_folders_have_two_verdicts(application: Application) -> None:
    (other(application) / "alpha" / "helper.py").write_text("VALUE = 0\n")
    outcome = with_both(
        application,
        """
        try:
            import integrations.alpha.api
        except ImportError as error:
            print(type(error).__name__, error.refusal.kind, error.refusal.root)
        import plugins.alpha.api
        first, second = guard.status().folders
        print(first.package, sorted(first.verified), len(first.refused))
        print(second.package, sorted(second.verified), len(second.refused))
        """,
    )
    assert outcome.stdout.splitlines() == [
        f"PluginImportRefused integrity_mismatch {other(application)}",
        "plugins ['alpha'] 0",
        "integrations [] 1",
    ]
    assert outcome.executed == ("plugins.alpha.api", "plugins.alpha.helper")


def test_a_folder_without_a_lock_refuses_only_itself(application: Application) -> None:
    (other(application) / "PLUGINS.lock").unlink()
    outcome = with_both(
        application,
        """
        import plugins.alpha.api
        try:
            import integrations
        except ImportError as error:
            print(error.refusal.kind)
        """,
    )
    assert outcome.stdout == "lock_file_malformed\n"


def test_a_package_that_no_folder_claims_is_left_alone(application: Application) -> None:
    application.lock_path.unlink()
    application.write("__init__.py", "print('own package', __name__)\n")
    outcome = application.run(
        """
        guard = codegenie.plugins.guard
        guard.install(root="integrations", package="integrations")
        import plugins.alpha.api, integrations.alpha.api
        print(type(plugins.__loader__).__name__)
        """
    )
    assert outcome.stdout == "own package plugins\nSourceFileLoader\n"
    assert len(outcome.executed) == 4


FORMS = """
import importlib, importlib.resources, importlib.util, inspect, pickle, pkgutil, sys, threading
assert {name}.api.answer() == 42
assert importlib.reload({name}.helper).VALUE == 42
assert importlib.resources.files({quoted}).joinpath("plugin.yaml").read_text()[:5] == "name:"
assert pkgutil.get_data({quoted} + ".api", "plugin.yaml")[:5] == b"name:"
assert inspect.getsource({name}.helper).endswith("VALUE = 42\\n")
assert pickle.loads(pickle.dumps({name}.api.answer)) is {name}.api.answer
names = [module.name for module in pkgutil.walk_packages({name}.__path__, {quoted} + ".")]
assert names == [{quoted} + ".api", {quoted} + ".helper", {quoted} + ".sub"], names
import {name}.sub.deep
assert importlib.util.find_spec({quoted} + ".absent") is None
try:
    importlib.import_module({quoted} + ".absent")
except ModuleNotFoundError as error:
    assert error.name == {quoted} + ".absent"
thread = threading.Thread(target=importlib.import_module, args=({quoted} + ".late",))
thread.start(); thread.join()
assert sys.modules[{quoted} + ".late"].__loader__.__module__.startswith("codegenie.")
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # CPython may still count the joined thread
child = os.fork()
if not child:
    importlib.import_module({quoted} + ".later")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("whole")
"""

FILES = {"sub/deep.py": "", "late.py": "", "later.py": "", "__main__.py": "print('main', __name__)"}


@pytest.mark.parametrize("package", ["custom_components", "host.plugins", ""])
def test_every_form_of_import_works_under_a_name(tmp_path: Path, package: str) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "__init__.py").write_text("")
    folder = {"custom_components": tmp_path, "host.plugins": host, "": tmp_path}[package]
    application = Application(folder, package.rpartition(".")[2] or "tops")
    application.add_plugin("alpha", {k: v for k, v in FILES.items() if k[:3] == "sub"})
    application.add_plugin("alpha", FILES)
    application.lock()
    name = f"{package}.alpha" if package else "alpha"
    setup = (
        "import codegenie.plugins.guard as guard\n"
        f"guard.install(root={str(application.root)!r}, package={package!r})\n"
    )
    script = setup + f"import {name}.api\n" + FORMS.format(name=name, quoted=repr(name))
    script = script.replace('.helper", {', ".helper, {")
    script = script.replace(
        f'{name!r} + ".helper", {name!r} + ".sub"]',
        f'{name!r} + ".helper", {name!r} + ".late", {name!r} + ".later"]',
    ).replace("names == [", f"names == [{name!r} + '.__main__', ")
    outcome = application.run(script, guarded=False, cwd=tmp_path)
    assert (outcome.stdout, outcome.stderr) == ("whole\n", "")
    run = f"import runpy; runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"
    assert application.run(setup + run, guarded=False, cwd=tmp_path).stdout == "main __main__\n"


@pytest.mark.skipif(not A_COMPILER.available, reason=f"needs {A_COMPILER.what}")
def test_packs_and_machine_code_work_under_every_name(tmp_path: Path) -> None:
    first = Application(tmp_path, "custom_components")
    second = Application(tmp_path, "tops")
    code = machine_code("-DQUIET")
    for application, unit in (first, "alpha"), (second, "beta"):
        shutil.rmtree(application.plugin)
        application.add_plugin(unit)
        (application.root / unit / f"extra{EXTENSION_SUFFIXES[0]}").write_bytes(code)
        (application.root / f"extra{EXTENSION_SUFFIXES[0]}").write_bytes(code)
        lock_of(application.root, f"extra{EXTENSION_SUFFIXES[0]}")
        command = [sys.executable, "-m", "codegenie", "plugins", "compile", str(application.root)]
        assert application.start(command).status == 0
    outcome = first.run(
        """
        guard = codegenie.plugins.guard
        guard.install(root="custom_components", package="custom_components")
        guard.add("tops", package="")
        import custom_components.alpha.api, custom_components.alpha.extra, custom_components.extra
        import beta.api, beta.extra, extra
        for module in custom_components.alpha.extra, custom_components.extra, beta.extra, extra:
            print(module.__name__, type(module.__loader__).__name__)
        for folder in guard.status().folders:
            print({unit: used["from_pack"] for unit, used in folder.bytecode.items()})
        """
    )
    assert outcome.stdout.splitlines() == [
        "custom_components.alpha.extra VerifiedExtensionLoader",
        "custom_components.extra VerifiedExtensionLoader",
        "beta.extra VerifiedExtensionLoader",
        "extra VerifiedExtensionLoader",
        "{'alpha': 2}",
        "{'beta': 2}",
    ], outcome


BAD = {
    "missing": ("guard.add('missing', package='x')", "is not a folder"),
    "nested": ("guard.add('integrations/alpha', package='x')", "must not nest"),
    "claimed-twice": ("guard.add('third', package='integrations')", "is claimed by"),
    "inside-a-package": ("guard.add('third', package='integrations.x')", "inside package"),
    "default": ("guard.add('third', package='plugins')", "the default folder"),
    "lock-in-another": ("guard.add('third', package='x', lock='integrations/x')", "inside another"),
    "no-name": ("guard.add('third', package='a-b')", "not a dotted name"),
    "names-unknown": ("guard.add('third', package='')", "names to guard are not known"),
    "same-folder-otherwise": ("guard.add('integrations', package='x')", "is guarded already"),
    "install-claimed": ("guard.install(package='integrations')", "is claimed by"),
    "name-of-a-unit": ("guard.add('tops', package='integrations')", "is claimed by"),
    "unit-of-a-package": ("guard.add('tops', package='')", "'host' of"),
    "standard-library": ("guard.add('shadow', package='')", "names 'os', which is a module of"),
    "install-no-root": ("guard.install(package=None)", "root must be given"),
}


def test_a_folder_in_conflict_changes_nothing(application: Application) -> None:
    (application.folder / "third").mkdir()
    top = Application(application.folder, "tops")
    top.add_plugin("host")
    top.lock()
    shadow = Application(application.folder, "shadow")
    shadow.add_plugin("os")
    shadow.lock()
    (application.folder / "inner").mkdir()
    script = ADD + "guard.add('inner', package='host.plugins')\nbefore = repr(guard.status())\n"
    for call, _ in BAD.values():
        script += (
            f"try:\n    {call}\nexcept ValueError as error:\n    print(error)\n"
            "assert repr(guard.status()) == before\n"
        )
    outcome = application.run(script + "import plugins.alpha, integrations.alpha\n")
    assert outcome.stderr == ""
    for line, (call, words) in zip(outcome.stdout.splitlines(), BAD.values(), strict=True):
        assert words in line, call


def test_a_folder_is_added_before_the_first_decision(application: Application) -> None:
    outcome = with_both(
        application,
        """
        import plugins.alpha
        guard.add("integrations", package="integrations")
        for call in (
            lambda: guard.add("integrations", package="other"),
            lambda: guard.add("plugins/alpha", package="third"),
            lambda: guard.install(package="third"),
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error.setting)
        """,
    )
    assert outcome.stdout.splitlines() == [
        "GuardSettled package",
        "GuardSettled folders",
        "GuardSettled package",
    ]


def test_the_first_decision_settles_the_mode_of_all_folders(application: Application) -> None:
    (other(application) / "alpha" / "helper.py").write_text("print('ran')\nVALUE = 42\n")
    outcome = with_both(
        application,
        """
        import os, plugins.alpha
        os.environ["CODEGENIE_GUARD_MODE"] = "audit"
        try:
            import integrations.alpha.api
        except ImportError as error:
            print(error.refusal.kind, guard.status().mode)
        """,
    )
    assert outcome.stdout == "integrity_mismatch enforce\n"


@pytest.mark.parametrize(("package", "others"), [("", "leave"), ("", "refuse"), ("tops", "leave")])
def test_names_that_are_not_pinned_come_from_the_lock(
    tmp_path: Path, package: str, others: str
) -> None:
    application = Application(tmp_path, "tops")
    application.write("alpha/helper.py", "print('ran')\n")
    entry, name = (".", "tops.alpha.api") if package else ("tops", "alpha.api")
    outcome = application.run(
        f"""
        import sys
        from codegenie._start.audit_hook import start
        from codegenie._start.finder import installed
        folder = {{"root": "tops", "lock": "tops/PLUGINS.lock"}}
        folder.update(package={package!r}, others={others!r})
        start({{"folders": [folder], "scope": "all", "mode": "enforce", "on_refusal": "raise"}})
        print(*[sorted(claim.names) for claim in installed().claims])
        sys.path.insert(0, {entry!r})
        import {name}
        """,
        guarded=False,
    )
    assert "[integrity_mismatch]" in outcome.stderr
    assert (outcome.stdout, outcome.executed) == ("['alpha']\n", ())


def test_a_loaded_package_cannot_be_claimed(application: Application) -> None:
    outcome = application.run(
        """
        guard = codegenie.plugins.guard
        import integrations.alpha.helper
        for call in (
            lambda: guard.add("integrations", package="integrations"),
            lambda: guard.install(root="integrations", package="integrations"),
            lambda: guard.pin(folders=[{"root": "integrations", "package": "integrations"}]),
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error.modules)
        print(len(guard.status().folders), guard.status().pinned)
        """
    )
    modules = ("integrations", "integrations.alpha", "integrations.alpha.helper")
    assert outcome.stdout.splitlines() == [f"GuardTooLate {modules}"] * 3 + ["1 False"]


REGISTERS = "from codegenie.plugins.registry import register_plugin\n" + (
    "class Plugin:\n    name = __name__\nregister_plugin(Plugin)\n"
)


def test_load_plugins_takes_the_package_of_the_folder(application: Application) -> None:
    second = application.folder / "integrations"
    for root in application.root, second:
        with (root / "alpha" / "api.py").open("a") as file:
            file.write(REGISTERS)
        lock_of(root)
    outcome = with_both(
        application,
        """
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        from codegenie.plugins.registry import PluginRegistry
        for name in "plugins", "integrations":
            root = Path(name)
            registry = PluginRegistry()
            print(load_plugins(root, root / "PLUGINS.lock", registry=registry).unwrap().loaded)
            print([plugin.name for plugin in registry.all()])
        """,
    )
    assert outcome.stdout.splitlines() == [
        "('alpha',)",
        "['plugins.alpha.api']",
        "('alpha',)",
        "['integrations.alpha.api']",
    ]
    assert outcome.executed == tuple(
        f"{package}.alpha.{module}"
        for package in ("plugins", "integrations")
        for module in ("api", "helper")
    )


def lock_of(root: Path, *files: str) -> None:
    """Lock the folders of a root, and single files."""
    entries = {folder.name: oracle(folder) for folder in root.iterdir() if folder.is_dir()}
    for name in files:
        digest = hashlib.sha256((root / name).read_bytes()).hexdigest()
        entries[name] = hashlib.sha256(f"{digest}  {name}\n".encode()).hexdigest()
    (root / "PLUGINS.lock").write_text(json.dumps(entries))


@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_the_code_of_the_root_runs_if_it_is_locked(tmp_path: Path, scope: str) -> None:
    application = Application(tmp_path, "custom_components")
    application.write("__init__.py", "NAMES = []\nfrom . import tool\nprint(__file__, __name__)\n")
    application.write("tool.py", "from . import NAMES\nNAMES.append(__file__)\n")
    lock_of(application.root, "__init__.py", "tool.py")
    script = f"""
        import importlib, importlib.resources, inspect
        guard = codegenie.plugins.guard
        guard.install(root="custom_components", package="custom_components", scope={scope!r})
        import custom_components.alpha.api, custom_components.tool
        print(custom_components.NAMES, type(custom_components.__loader__).__module__)
        assert inspect.getsource(custom_components).startswith("NAMES")
        assert custom_components.__spec__.origin == custom_components.__file__
        files = importlib.resources.files("custom_components")
        print(sorted(entry.name for entry in files.iterdir()))
        assert importlib.reload(custom_components).NAMES == []
        importlib.reload(custom_components.tool)
        """
    outcome = application.run(script)
    root = application.root
    assert outcome.stdout.splitlines() == [
        f"{root}/__init__.py custom_components",
        f"['{root}/tool.py'] codegenie._enforce.package_loaders",
        "['__init__.py', 'alpha', 'tool.py']",
        f"{root}/__init__.py custom_components",
    ]
    for name in ("__init__.py", "tool.py"):
        application.write(name, f"print('changed', {name!r})\n")
        outcome = application.run(script)
        assert "changed" not in outcome.stdout
        assert f"plugin {name!r} does not match the lock" in outcome.stderr, outcome.stderr
        application.write(name, "NAMES = []\n")
        lock_of(application.root, "__init__.py", "tool.py")


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
NOT_ASCII = """
import importlib
for name in "gr\\xf6\\xdfe.alpha.helper", "b\\xe9ta.helper":
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(type(error).__name__, ascii(error.name))
"""


def test_names_that_are_not_ascii_are_claimed_in_each_locale(tmp_path: Path) -> None:
    application = Application(tmp_path, "gr\xf6\xdfe")
    top = Application(tmp_path, "tops")
    top.plugin.rename(top.root / "b\xe9ta")
    for helper in application.root / "alpha/helper.py", top.root / "b\xe9ta/helper.py":
        helper.write_text(WITNESS.replace("__name__", "ascii(__name__)"))
    application.lock()
    top.lock()
    environment = Environment(tmp_path / "env")
    environment.activate(
        application.root,
        folders=[
            {"root": str(one.root), "lock": str(one.lock_path), "others": "refuse", **claim}
            for one, claim in (
                (application, {"package": "gr\xf6\xdfe", "names": []}),
                (top, {"package": "", "names": ["b\xe9ta"]}),
            )
        ],
    )
    command = [environment.python, "-B", "-c", NOT_ASCII]
    for variables in {}, ASCII:
        outcome = application.start(command, environment=variables)
        assert (outcome.stdout, outcome.stderr) == ("", ""), outcome
        assert len(outcome.executed) == 2, outcome
    (environment.codegenie / "_start" / "finder.py").unlink()
    for variables in {}, ASCII:
        outcome = application.start(command, environment=variables)
        assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["ImportError"] * 2
        assert outcome.executed == ()


SHARED = """
import sys
guard = codegenie.plugins.guard
guard.install(root="site", package="", others="leave")
sys.path.insert(0, "site")
import unlocked, other.module
import alpha.api, tool, late
print(unlocked.__file__, tool.__loader__.__module__, list(alpha.__path__))
assert type(sys.path_importer_cache["site"]).__name__ == "FileFinder"
"""


def test_only_what_is_locked_is_guarded_in_a_shared_folder(tmp_path: Path) -> None:
    application = Application(tmp_path, "site")
    application.write("tool.py", "print('tool')\n")
    lock_of(application.root, "tool.py")
    application.write("unlocked.py", "")
    application.write("late.py", "")
    application.write("other/module.py", "exec(compile('', __file__, 'exec'))\n")
    outcome = application.run(SHARED)
    assert outcome.stderr == ""
    assert outcome.stdout.splitlines() == [
        "tool",
        f"{tmp_path}/site/unlocked.py codegenie._enforce.loaders ['{tmp_path}/site/alpha']",
    ]
    application.write("unlocked.py", "import runpy; runpy.run_path('site/tool.py')\n")
    application.write("tool.py", "print('changed')\n")
    outcome = application.run(SHARED)
    assert "plugin 'tool.py' does not match the lock" in outcome.stderr
    assert outcome.stdout == ""


def test_a_shared_folder_of_a_package_is_searched_as_ever(tmp_path: Path) -> None:
    application = Application(tmp_path, "shared")
    application.write("unlocked.py", "")
    outcome = application.run(
        """
        import importlib, os, sys
        guard = codegenie.plugins.guard
        guard.install(root="shared", package="shared", others="leave")
        import shared.alpha.api
        sys.path.insert(0, os.path.abspath("shared"))
        import unlocked
        importlib.import_module("shared.unlocked")
        """
    )
    assert outcome.executed == ("shared.alpha.api", "shared.alpha.helper")
    assert outcome.stderr.endswith("ModuleNotFoundError: No module named 'shared.unlocked'\n")


FOLDERS = ("plugins", None), ("host.plugins", None), ("", "leave"), (None, None)


def folders_of(application: Application) -> list[dict[str, object]]:
    """Return pinned folders: by package, by a name in a package, by top-level name, by path."""
    host = application.folder / "host"
    host.mkdir()
    (host / "__init__.py").write_text("")
    roots = [
        application,
        Application(host),
        Application(application.folder, "tops"),
        Application(application.folder, "paths"),
    ]
    for root, name in zip(roots[2:], ("beta", "gamma"), strict=True):
        root.plugin.rename(root.root / name)
        root.lock()
    return [
        {
            "root": str(root.root),
            "lock": str(root.lock_path),
            "package": package,
            "others": others or "refuse",
            **({"names": ["beta"]} if package == "" else {}),
        }
        for root, (package, others) in zip(roots, FOLDERS, strict=True)
    ]


BY_EACH = """
import importlib, runpy, sys
sys.path.append("tops")
import unlocked
for way in (
    lambda: importlib.import_module("plugins.alpha.helper"),
    lambda: importlib.import_module("host.plugins.alpha.helper"),
    lambda: importlib.import_module("beta.helper"),
    lambda: runpy.run_path("paths/gamma/helper.py"),
):
    try:
        way()
    except ImportError as error:
        print(type(error).__name__, error.name)
import host
"""


def test_pinned_folders_are_guarded_by_an_activation(tmp_path: Path) -> None:
    application = Application(tmp_path)
    folders = folders_of(application)
    (tmp_path / "tops" / "unlocked.py").write_text("")
    environment = Environment(tmp_path / "env")
    environment.activate(application.root, folders=folders)
    command = [str(environment.python), "-c", BY_EACH]
    assert application.start(command).stdout == ""
    for folder in folders:
        for helper in Path(str(folder["root"])).glob("*/helper.py"):
            helper.write_text("print('ran')\n")
    refused = application.start(command)
    assert [line.split()[0] for line in refused.stdout.splitlines()] == ["PluginImportRefused"] * 4
    assert refused.stderr == ""


def test_the_activation_file_itself_refuses_every_folder(tmp_path: Path) -> None:
    application = Application(tmp_path)
    folders = folders_of(application)
    (tmp_path / "tops" / "unlocked.py").write_text("")
    environment = Environment(tmp_path / "env")
    environment.activate(application.root, folders=folders)
    (environment.site / "codegenie" / "hashing.py").write_text("")
    (environment.site / "codegenie" / "_start" / "finder.py").write_text("broken = (")
    outcome = application.start([str(environment.python), "-c", BY_EACH])
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["ImportError"] * 4
    assert (outcome.stderr, outcome.executed) == ("", ())


@pytest.mark.parametrize("first", ["", "import plugins.alpha.api\n"], ids=["at once", "later"])
def test_the_first_folder_has_the_lock_of_the_environment(
    application: Application, first: str
) -> None:
    outside = application.folder / "outside.lock"
    shutil.copy(application.lock_path, outside)
    outcome = application.run(
        f"""
import codegenie.plugins.guard as guard
{first}
for lock in "outside.lock", None, "plugins/PLUGINS.lock":
    try:
        guard.add("plugins", package="plugins", lock=lock)
        print(lock)
    except (ValueError, RuntimeError) as error:
        print(type(error).__name__, {str(outside)!r} in str(error))
import plugins.alpha.api
print(guard.status().lock)
""",
        environment={
            "CODEGENIE_PLUGINS_LOCK": "outside.lock",
            "CODEGENIE_PLUGINS_ROOT": "plugins",
        },
    )
    error = "GuardSettled" if first else "ValueError"
    assert outcome.stdout == f"outside.lock\nNone\n{error} True\n{outside}\n", outcome
