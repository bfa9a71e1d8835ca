"""The fixture ``plugin_root``, in test runs of its own: pytest in child processes."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fixtures.environments import Environment
from tests.fixtures.trees import Application, Outcome
from tests.static.sources import REPOSITORY

HEAD = """
import sys
import pytest

REGISTERS = '''
from codegenie.plugins.registry import register_plugin
CALLS = []
class Hello:
    name = "hello"
    value = {value}
    calls = CALLS
PLUGIN = register_plugin(Hello())
'''

def guarded():
    return sorted(name for name in sys.modules if name.split(".")[0] == "plugins")
"""

# Check the state before and after such a test: fixtures that are used automatically are set up
# before the others, and taken down after them.
NO_TRACE = """
@pytest.fixture(autouse=True)
def no_trace():
    before = state()
    yield
    assert state() == before

def state():
    registry = sys.modules.get("codegenie.plugins.registry")
    return {
        "modules": guarded(),
        "guard": "codegenie.plugins.guard" in sys.modules,
        "guard of its package": hasattr(sys.modules.get("codegenie.plugins"), "guard"),
        "vendored": "vendored" in sys.modules,
        "meta_path": list(sys.meta_path),
        "path": list(sys.path),
        "registered": registry.default_registry.all() if registry else (),
        "made": registry.remembered() if registry else {},
        "guards": answers(),
        "listings": [
            place
            for place, finder in sys.path_importer_cache.items()
            if type(finder).__module__.startswith("codegenie.")
        ],
    }

def answers():
    found = []
    sys.audit("codegenie.plugins.guard.where", found)
    return found
"""

USES = """
from codegenie.pytest_plugin import PluginRoot
from codegenie.plugins.errors import PluginImportRefused

@pytest.mark.parametrize("value", [1, 2])
def test_each_has_its_own(plugin_root: PluginRoot, value):
    plugin_root.write("hello", {"api.py": REGISTERS.format(value=value)})
    registry = plugin_root.load()
    plugin = registry.get("hello")
    assert (plugin.value, plugin.calls) == (value, [])
    plugin.calls.append(value)
    import plugins.hello.api
    assert plugins.hello.api.PLUGIN is plugin
    assert plugins.hello.api.__file__ == str(plugin_root.path / "hello" / "api.py")

def test_the_guard_decides_imports_too(plugin_root):
    plugin_root.write("hello", {"api.py": "VALUE = 1"})
    with pytest.raises(PluginImportRefused, match="lock_file_malformed"):
        import plugins.hello.api
    plugin_root.lock()
    import plugins.hello.api as api
    assert api.VALUE == 1
    import codegenie._start.finder as finder
    assert type(sys.meta_path[0]) is finder.GuardFinder

def test_loads_again_after_a_change_and_a_lock(plugin_root):
    plugin_root.write("hello", {"api.py": REGISTERS.format(value=1)})
    first = plugin_root.load()
    plugin_root.write("hello", {"api.py": REGISTERS.format(value=2)})
    with pytest.raises(PluginImportRefused) as refused:
        plugin_root.load()
    assert refused.value.rejection.kind == "integrity_mismatch"
    assert "changed   api.py" in str(refused.value)
    plugin_root.lock()
    assert plugin_root.load().get("hello").value == 2
    assert first.get("hello").value == 1

def test_what_is_refused(plugin_root, tmp_path):
    witness = tmp_path / "witness"
    touch = f"open({str(witness)!r}, 'w').close()"
    plugin_root.write("hello", {"api.py": "", "data/x.bin": b"\\r\\n"})
    plugin_root.lock()
    api = plugin_root.path / "hello" / "api.py"
    api.write_text(touch)
    with pytest.raises(PluginImportRefused, match="integrity_mismatch"):
        import plugins.hello.api
    assert not witness.exists()
    import runpy
    runpy.run_path(str(api))  # the code does leave a witness where it is run
    assert witness.exists()

    api.write_text("")
    plugin_root.write("extra", {"api.py": ""})
    with pytest.raises(PluginImportRefused, match="unlocked_plugin"):
        plugin_root.load()
    plugin_root.write("extra", {"plugin.yaml": "{name: other, scope: {}}"})
    with pytest.raises(PluginImportRefused, match="schema_violation"):
        plugin_root.lock()

def test_write_stays_in_the_plugin(plugin_root):
    for bad in ("../x", "/x", "a/../../x", ""):
        with pytest.raises(ValueError, match="is not the path of a file below"):
            plugin_root.write("hello", {bad: ""})
    for bad in ("PLUGINS.x", "..", "a/b", ""):
        with pytest.raises(ValueError, match="is not a plugin id"):
            plugin_root.write(bad, {})
    assert list(plugin_root.path.iterdir()) == []
    folder = plugin_root.write("hello", {"api.py": "X = 'ü'\\r\\n"})
    assert (folder / "api.py").read_bytes() == "X = 'ü'\\r\\n".encode()
    (folder / "plugin.yaml").write_text("mine")
    plugin_root.write("hello", {"b.py": ""})
    assert (folder / "plugin.yaml").read_text() == "mine"

def test_an_id_that_yaml_takes_for_a_value(plugin_root):
    for word in ("y", "no", "on", "true", "null"):
        plugin_root.write(word, {"api.py": ""})
    plugin_root.lock()

def test_copy(plugin_root, tmp_path):
    source = tmp_path / "hello"
    (source / "__pycache__").mkdir(parents=True)
    (source / "pkg").mkdir()
    for name in ("api.py", "pkg/__init__.py", "__pycache__/api.cpython-311.pyc", "old.pyc"):
        (source / name).write_text("")
    (source / "plugin.yaml").write_text(
        "name: hello\\nversion: '1'\\nscope: {task_class: x, languages: x, build_systems: x}"
    )
    (source / "pkg" / "run.sh").write_text("")
    (source / "pkg" / "run.sh").chmod(0o755)
    copied = plugin_root.copy(source)
    assert sorted(str(p.relative_to(copied)) for p in copied.rglob("*") if p.is_file()) == [
        "api.py", "pkg/__init__.py", "pkg/run.sh", "plugin.yaml"
    ]
    assert (copied / "pkg" / "run.sh").stat().st_mode & 0o777 == 0o755
    plugin_root.load()
    with pytest.raises(FileExistsError):
        plugin_root.copy(str(source))
    other = source.rename(tmp_path / "other")
    (other / "link").symlink_to("api.py")
    with pytest.raises(PluginImportRefused, match="symlink_escape"):
        plugin_root.copy(other)
    (tmp_path / "third").symlink_to(other)
    with pytest.raises(PluginImportRefused, match="symlink_escape"):
        plugin_root.copy(tmp_path / "third")
    assert sorted(p.name for p in plugin_root.path.iterdir() if p.is_dir()) == ["hello"]

@pytest.mark.parametrize("value", [1, 2])
def test_plugins_that_leave_things_behind(plugin_root, value):
    plugin_root.write("messy", {
        "vendor/vendored.py": f"VALUE = {value}",
        "api.py": '''
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "vendor"))
sys.path.append("/nowhere")
class Finder:
    def find_spec(self, name, path=None, target=None):
        return None
sys.meta_path.append(Finder())
import vendored
from codegenie.plugins import registry
class Messy:
    name = "messy"
registry.default_registry.register(Messy())
''',
    })
    plugin_root.load()
    import vendored
    assert vendored.VALUE == value

def test_a_plugin_that_fails(plugin_root):
    plugin_root.write("hello", {"api.py": "import plugins.hello.half\\nraise KeyError('x')",
                                "half.py": ""})
    with pytest.raises(PluginImportRefused, match="KeyError: 'x'"):
        plugin_root.load()
    assert guarded() == []

@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)
def test_that_fails(plugin_root):
    plugin_root.write("hello", {"api.py": "1/0"})
    plugin_root.lock()
    import plugins.hello.api
"""
PASSED = 11


@pytest.fixture
def project(tmp_path: Path) -> Application:
    folder = tmp_path / "project"
    folder.mkdir()
    return Application(folder)


def run(
    application: Application,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    **files: str,
) -> Outcome:
    """Run pytest on these files. Every warning is an error."""
    for name, text in files.items():
        (application.folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error"]
    command += ["-q", *arguments, *(f"{name}.py" for name in files)]
    return application.start(command, environment=environment)


def passed(outcome: Outcome) -> int:
    found = re.search(r"(\d+) passed", outcome.stdout)
    assert (outcome.status, found is not None) == (0, True), outcome.stdout + outcome.stderr
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize(
    "options", [[], ["--import-mode=importlib", "-n", "2"]], ids=["alone", "workers"]
)
def test_what_it_does_and_that_it_leaves_no_trace(
    application: Application, options: list[str]
) -> None:
    # Environment variables for the application's guard do not apply to this one.
    weaker = {"CODEGENIE_GUARD_MODE": "audit", "CODEGENIE_GUARD_ON_REFUSAL": "exit"}
    done = run(application, *options, environment=weaker, test_uses=HEAD + NO_TRACE + USES)
    assert passed(done) == PASSED, done  # and one that fails as it should
    assert "1 xfailed" in done.stdout


def test_a_run_that_does_not_use_it_pays_nothing(application: Application) -> None:
    done = run(
        application,
        test_plain="""
import sys
def test_what_is_loaded():
    mine = sorted(name for name in sys.modules if name.split(".")[0] == "codegenie")
    assert mine == ["codegenie", "codegenie.pytest_plugin"]
    assert not {"pydantic", "yaml"} & sys.modules.keys()
    import plugins.alpha.api  # not guarded: nobody has asked for it
""",
    )
    assert passed(done) == 1
    assert done.executed == ("plugins.alpha.api", "plugins.alpha.helper")


OWN_GUARD = """
import codegenie.plugins.guard as guard
guard.install(root="plugins")
"""
FIRST_DECISION = "import plugins.alpha.api\n"
KEEPS = """
def test_before(plugin_root):
    assert guarded() == []
    plugin_root.write("alpha", {"api.py": REGISTERS.format(value=7)})
    assert plugin_root.load().get("hello").value == 7
    import plugins.alpha.api
    assert plugins.alpha.api.PLUGIN.value == 7

    import codegenie.plugins.guard as guard
    from codegenie.plugins.errors import GuardSettled
    status = guard.status()
    assert (status.active, status.strict, status.pinned) == (True, False, False)
    assert status.root == str(plugin_root.path)
    with pytest.raises(GuardSettled):
        guard.install(strict=True)

def test_it_guards_its_folder_only(plugin_root):
    import codegenie.plugins.guard as guard
    from codegenie.plugins.errors import GuardSettled
    with pytest.raises(GuardSettled):
        guard.install(root="plugins")

def test_after():
    import codegenie.plugins.guard as guard
    import plugins.alpha.api as api
    assert api.answer() == 42
    status = guard.status()
    assert (status.active, status.strict, status.root.endswith("project/plugins")) == (True,) * 3
    assert list(status.verified) == ["alpha"]
    assert status.refused == ()

def test_it_is_enforced_as_before():
    from codegenie.plugins.errors import PluginImportRefused
    with open("plugins/alpha/late.py", "w") as file:
        file.write("")
    with pytest.raises(ModuleNotFoundError):
        import plugins.alpha.late
    # Not served from the verified state, and past the finders: strict refuses it.
    import runpy
    with pytest.raises(PluginImportRefused):
        runpy.run_path("plugins/alpha/late.py")
    # And whoever takes it away finds it back.
    import codegenie._start.finder as finder
    sys.meta_path[:] = [f for f in sys.meta_path if type(f) is not finder.GuardFinder]
    with pytest.raises(ModuleNotFoundError):
        import plugins.alpha.nothing
    assert type(sys.meta_path[0]) is finder.GuardFinder
"""


@pytest.mark.parametrize("decided", [FIRST_DECISION, ""], ids=["decided", "undecided"])
def test_the_guard_of_the_application_comes_back(project: Application, decided: str) -> None:
    done = run(project, conftest=OWN_GUARD + decided, test_app=HEAD + KEEPS)
    assert passed(done) == 4


def test_modules_that_are_not_guarded_come_back(application: Application) -> None:
    """A process whose ``plugins`` is an ordinary package may use the fixture."""
    done = run(
        application,
        test_plain=HEAD
        + NO_TRACE
        + """
sys.path.insert(0, ".")
import plugins.alpha.api as before

def test_one(plugin_root):
    plugin_root.write("alpha", {"api.py": "VALUE = 1"})
    plugin_root.load()
    import plugins.alpha.api
    assert plugins.alpha.api.VALUE == 1

def test_two():
    import plugins.alpha.api
    assert plugins.alpha.api is before
""",
    )
    assert passed(done) == 2


def test_an_application_that_is_imported_in_the_test_stays_guarded(
    application: Application,
) -> None:
    (application.folder / "app.py").write_text("import codegenie.plugins.guard\n")
    done = run(
        application,
        test_app=HEAD
        + """
def test_one(plugin_root):
    plugin_root.write("hello", {"api.py": "VALUE = 1"})
    plugin_root.load()
    import app

def test_two():
    import codegenie.plugins.guard as guard
    status = guard.status()
    assert (status.active, status.strict) == (True, True)
    with open("plugins/alpha/helper.py", "a") as file:
        file.write("#")
    from codegenie.plugins.errors import PluginImportRefused
    with pytest.raises(PluginImportRefused):
        import plugins.alpha.api

def test_three(plugin_root):
    plugin_root.write("hello", {"api.py": "VALUE = 1"})
    plugin_root.load()
""",
    )
    assert passed(done) == 3
    assert done.executed == ()


def test_a_run_within_a_run(application: Application) -> None:
    """As those have it who test a pytest plugin of their own."""
    inner = HEAD + USES
    done = run(
        application,
        "-p",
        "pytester",
        test_outer=HEAD
        + NO_TRACE
        + f"""
INNER = {inner!r}

def test_within(pytester, plugin_root):
    plugin_root.write("hello", {{"api.py": REGISTERS.format(value=5)}})
    plugin_root.load()
    pytester.makepyfile(INNER)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(
        passed={PASSED}, xfailed=1
    )
    import plugins.hello.api
    assert plugins.hello.api.PLUGIN.value == 5
""",
    )
    assert passed(done) == 1


def test_a_pinned_guard_is_not_taken_away(application: Application, tmp_path: Path) -> None:
    """Also, pytest does not warn that the package was imported before pytest could rewrite it."""
    environment = Environment(tmp_path / "env")
    (environment.site / "tools.pth").write_text("\n".join(p for p in sys.path if "site-pack" in p))
    environment.activate(application.root)
    (application.folder / "test_pinned.py").write_text(
        HEAD
        + """
def test_one(plugin_root):
    raise AssertionError("not reached")

def test_two():
    import codegenie.plugins.guard as guard
    guard.require()
    import plugins.alpha.api
"""
    )
    command = [environment.python, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-q"]
    done = application.start([*command, "test_pinned.py"])
    assert "1 passed, 1 error" in done.stdout, done
    assert f"is pinned to the folder {application.root}, and guards no other" in done.stdout
    assert "not reached" not in done.stdout


PAGE = (REPOSITORY / "docs" / "howto" / "ci-and-tests.md").read_text()


def test_the_recipes_of_the_guide(tmp_path: Path) -> None:
    """The files of the page: its tests pass, and a change that is not locked fails them."""
    folder = tmp_path / "guide"
    folder.mkdir()
    application = Application(folder)
    files = re.findall(r'^```\w+ title="([^"]+\.(?:py|yaml))"\n(.*?)^```$', PAGE, re.M | re.S)
    for name, text in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert {name for name, _ in files} >= {"tests/conftest.py", "tests/test_hello.py"}
    application.lock()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-q"]
    assert passed(application.start(command)) == 5

    with (application.root / "hello" / "api.py").open("a") as file:
        file.write("# not locked\n")
    refused = application.start([*command, "tests/test_application.py"])
    assert refused.status == 2
    assert "[integrity_mismatch]" in refused.stdout, refused
    greets = [*command, "tests/test_application.py", "-k", "greets"]
    reported = application.start(greets, environment={"CODEGENIE_GUARD_MODE": "audit"})
    assert passed(reported) == 1
