"""Several guarded folders, and folders that claim another package, top-level names, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tests.attacks.attack import EVIL, PAYLOAD, THE_ROOT, Attack, Ignored, NotThere, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.attacks.settings import rewritten
from tests.fixtures.trees import WITNESS, Application, oracle

OTHER = {"root": "integrations", "package": "integrations"}
"""The second folder, with one plugin, ``alpha``, like the first."""

NESTED = {"root": "host/plugins", "package": "host.plugins"}
TOP = {"root": "plugins", "package": ""}
IN_THE_SECOND = Refused("integrity_mismatch", tree_as_it_is=False)
BY_PATH = {"root": "plugins", "package": None}


def second(application: Application) -> Application:
    """Make the second folder, locked."""
    return Application(application.folder, "integrations")


def within(break_it: Callable[[Application], None]) -> Callable[[Application], None]:
    """Break the second folder and leave the first one intact."""

    def prepare(application: Application) -> None:
        break_it(second(application))

    return prepare


def changed(application: Application) -> None:
    application.write("alpha/helper.py", EVIL)


def copied_from_the_first(application: Application) -> None:
    """Put a plugin that the first lock names, with another code, into the second folder."""
    other = second(application)
    application.write("alpha/helper.py", EVIL)
    application.lock()
    other.write("alpha/helper.py", EVIL)


def under_the_first_lock(application: Application) -> None:
    """Add a plugin to the second folder that only the first lock names."""
    other = second(application)
    for each in application, other:
        each.add_plugin("beta", {"helper.py": EVIL})
    application.lock()


def in_a_package(application: Application) -> None:
    """Make a package of the application around a guarded folder, and another portion of it."""
    host = application.folder / "host"
    host.mkdir()
    (host / "__init__.py").write_text("")
    nested = Application(host)
    nested.add_plugin("alpha")
    nested.lock()
    evil = application.folder / "evil" / "plugins" / "alpha"
    evil.mkdir(parents=True)
    for name in ("__init__.py", "api.py", "extra.py"):
        (evil / name).write_text(PAYLOAD)
    (evil.parent / "__init__.py").write_text("")


def changed_beta(application: Application) -> None:
    """Change a plugin whose name is not ASCII."""
    application.add_plugin("b\xe9ta")
    application.lock()
    application.write("b\xe9ta/helper.py", EVIL)


def elsewhere(application: Application) -> None:
    """Put a module of the same top-level name earlier on the path."""
    folder = application.folder / "evil" / "alpha"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "api.py", "extra.py"):
        (folder / name).write_text(PAYLOAD)


def root_code(application: Application) -> None:
    """Add an ``__init__.py`` of the folder itself, which the lock does not name."""
    application.write("__init__.py", PAYLOAD)


def beside_a_unit(name: str, data: Callable[[], str | bytes]) -> Callable[[Application], None]:
    """Add code that a search path finds before the locked ``helper.py``."""

    def prepare(application: Application) -> None:
        application.write("helper.py", WITNESS)
        application.lock_units()
        application.write(name, data())

    return prepare


def changed_behind_a_link(link: str, target: str) -> Callable[[Application], None]:
    """Change a file of a unit to which a link of another name leads."""

    def prepare(application: Application) -> None:
        (application.root / link).symlink_to(target)
        application.write("alpha/helper.py", EVIL)

    return prepare


# The folder's units are known after the first import.
HELPER_ON_THE_PATH = "import sys\nsys.path.insert(0, 'plugins')\nimport alpha.api\nimport helper"

BY_LOCATION = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location({name!r}, {path!r})
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
"""

BY_LISTING = "import os\n(name,) = [n for n in os.listdir('plugins') if n[0] == 'b']\n" + (
    BY_LOCATION.format(name="anything", path="PATH").replace(
        "'PATH'", "f'plugins/{name}/helper.py'"
    )
)

# The tracer does what another thread may do while this one is between two lines.
ADDED_DURING_A_LOOK_UP = """
import sys
guard = sys.modules.get('codegenie.plugins.guard')
if guard:
    from codegenie._start.finder import Claim, installed
    added = []
    def trace(frame, event, argument):
        if event == 'return' and not added:
            added.append(event)
            guard.add('integrations', package=None)
        return trace if frame.f_code is Claim.root.__code__ else None
    sys.settrace(trace)
    installed().claim_at('/elsewhere/module.py')
    sys.settrace(None)
    assert added
"""

ANOTHER_FINDER = """
import importlib.util, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "integrations.alpha.api":
            return importlib.util.spec_from_file_location(name, "evil.py")

import integrations.alpha
sys.meta_path.insert(0, Finder)
import integrations.alpha.api
"""

OF_ANOTHER = "import importlib.util, sys\nguard = sys.modules.get('codegenie.plugins.guard')\n" + (
    "import plugins.alpha, integrations.alpha.api\n"
    + BY_LOCATION.format(name="plugins.alpha.stolen", path="integrations/alpha/helper.py")
)


def evil_file(application: Application) -> None:
    second(application)
    (application.folder / "evil.py").write_text(PAYLOAD)


def stolen(application: Application) -> None:
    """Lock a module of the second folder that leaves the mark only under a name of the first."""
    other = second(application)
    other.write(
        "alpha/helper.py",
        f"{WITNESS}VALUE = 42\nif __name__[:8] == 'plugins.':\n    "
        + PAYLOAD.replace("\n", "\n    ").rstrip()
        + "\n",
    )
    other.lock()


def locked_root_code(application: Application) -> None:
    """Lock an ``__init__.py`` of the folder itself, and change it."""
    application.write("__init__.py", "")
    digest = hashlib.sha256(f"{hashlib.sha256(b'').hexdigest()}  __init__.py\n".encode())
    application.lock({"__init__.py": digest.hexdigest(), "alpha": oracle(application.plugin)})
    application.write("__init__.py", PAYLOAD)


ATTACKS = (
    Attack(
        "several/second-folder-changed",
        "A module of the second guarded folder has other code in it.",
        IN_THE_SECOND,
        "import plugins.alpha.api, integrations.alpha.api",
        within(changed),
        folders=(OTHER,),
        lock="integrations/PLUGINS.lock",
    ),
    Attack(
        "several/added-during-a-look-up",
        "The folder is added while another thread finds out which folders there are.",
        IN_THE_SECOND,
        ADDED_DURING_A_LOOK_UP
        + BY_LOCATION.format(name="anything", path="integrations/alpha/helper.py"),
        within(changed),
        settings={"root": "plugins"},
        lock="integrations/PLUGINS.lock",
    ),
    Attack(
        "several/second-folder-by-path",
        "The same module is loaded by its path, under any name.",
        IN_THE_SECOND,
        BY_LOCATION.format(name="anything", path="integrations/alpha/helper.py"),
        within(changed),
        folders=(OTHER,),
        lock="integrations/PLUGINS.lock",
    ),
    Attack(
        "several/copied-from-another-folder",
        "A plugin that the lock of one folder names replaces that of another folder.",
        IN_THE_SECOND,
        "import integrations.alpha.api",
        copied_from_the_first,
        folders=(OTHER,),
        lock="integrations/PLUGINS.lock",
    ),
    Attack(
        "several/locked-in-another-folder",
        "A plugin is in a folder whose lock does not name it; the lock of another folder does.",
        Refused("unlocked_plugin", "beta"),
        "import integrations.beta.api",
        under_the_first_lock,
        folders=(OTHER,),
    ),
    Attack(
        "several/under-a-name-of-another-folder",
        "A verified module of one folder is run under a name that another folder claims.",
        Refused("unverified_code", says="would run as plugins.alpha.stolen"),
        OF_ANOTHER,
        stolen,
        folders=(OTHER,),
    ),
    Attack(
        "several/verified-under-a-name-of-another-folder",
        "The guard's own loader of one folder is given a name that another folder claims.",
        Refused("unverified_code", says="would run as plugins.alpha.stolen"),
        OF_ANOTHER.replace("spec = importlib.util.", "spec = (guard or importlib.util)."),
        stolen,
        folders=(OTHER,),
    ),
    Attack(
        "several/displaced-for-the-second-folder",
        "Another finder comes first and finds a module of the second folder.",
        Ignored("integrations.alpha.helper"),
        ANOTHER_FINDER,
        evil_file,
        folders=(OTHER,),
    ),
    Attack(
        "several/path-of-the-parent-package",
        "The path of the package around a guarded folder is extended by another folder.",
        Ignored("host.plugins.alpha.helper"),
        "import host\nhost.__path__.insert(0, 'evil')\nimport host.plugins.alpha.api",
        in_a_package,
        folders=(NESTED,),
    ),
    Attack(
        "several/extra-module-through-the-parent",
        "A module that no lock names is in another portion of a package in a package.",
        NotThere("host.plugins.alpha.extra"),
        "import host\nhost.__path__.insert(0, 'evil')\nimport host.plugins.alpha.extra",
        in_a_package,
        folders=(NESTED,),
    ),
    Attack(
        "several/top-level-earlier-on-the-path",
        "Another package of the name of a unit is earlier on sys.path.",
        Ignored("alpha.helper"),
        "import sys\nsys.path[:0] = ['evil', 'plugins']\nimport alpha.api",
        elsewhere,
        settings=TOP,
    ),
    Attack(
        "several/top-level-changed",
        "A module that is imported by its own name has other code in it.",
        Refused("integrity_mismatch"),
        "import sys\nsys.path.insert(0, 'plugins')\nimport alpha.api",
        changed,
        settings=TOP,
    ),
    Attack(
        "several/top-level-extra-module",
        "A module that no lock names is in another folder of a top-level package.",
        NotThere("alpha.extra"),
        "import sys\nsys.path[:0] = ['evil', 'plugins']\nimport alpha.extra",
        elsewhere,
        settings=TOP,
    ),
    Attack(
        "several/by-path-changed",
        "A module of a folder that claims no name has other code in it, and is loaded by its path.",
        Refused("integrity_mismatch"),
        BY_LOCATION.format(name="anything", path="plugins/alpha/helper.py"),
        changed,
        settings=BY_PATH,
    ),
    Attack(
        "several/lock-of-the-environment",
        "The lock that the environment names counts for a folder without a package, too.",
        Refused("integrity_mismatch"),
        BY_LOCATION.format(name="anything", path="plugins/alpha/helper.py"),
        rewritten,
        settings=BY_PATH,
        environment={"CODEGENIE_PLUGINS_LOCK": "outside.lock"},
        lock="outside.lock",
    ),
    Attack(
        "several/shared-in-another-encoding",
        "The name of a unit of a shared folder is not ASCII, and the locale is.",
        Refused("integrity_mismatch", "b\xe9ta"),
        BY_LISTING,
        changed_beta,
        settings={**BY_PATH, "others": "leave"},
        environment={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ),
    Attack(
        "several/shared-package-beside-a-unit",
        "In a shared folder, a package with the name of a locked file is found first.",
        Refused("unverified_code", "helper", at="plugins/helper/__init__.py"),
        HELPER_ON_THE_PATH,
        beside_a_unit("helper/__init__.py", lambda: PAYLOAD),
        settings={**BY_PATH, "others": "leave"},
    ),
    Attack(
        "several/shared-extension-beside-a-unit",
        "In a shared folder, machine code with the name of a locked file is found first.",
        Refused("unverified_code", at=f"plugins/helper{SUFFIX}", plugin=THE_ROOT),
        HELPER_ON_THE_PATH,
        beside_a_unit(f"helper{SUFFIX}", machine_code),
        settings={**BY_PATH, "others": "leave"},
        needs=A_COMPILER,
    ),
    Attack(
        "several/shared-link-to-a-unit",
        "In a shared folder, a link of another name leads to a unit, in which a file has changed.",
        Refused("integrity_mismatch"),
        "import sys; sys.path.insert(0, 'plugins'); import other.helper",
        changed_behind_a_link("other", "alpha"),
        settings={**BY_PATH, "others": "leave"},
    ),
    Attack(
        "several/shared-link-to-a-file-of-a-unit",
        "The same by a link to that file.",
        Refused("integrity_mismatch"),
        "import sys; sys.path.insert(0, 'plugins'); import other",
        changed_behind_a_link("other.py", "alpha/helper.py"),
        settings={**BY_PATH, "others": "leave"},
    ),
    Attack(
        "several/locked-code-of-the-root",
        "The folder's own __init__.py is locked, and has other code in it.",
        Refused("integrity_mismatch", "__init__.py", tree_as_it_is=False),
        "import integrations.alpha.api",
        within(locked_root_code),
        folders=(OTHER,),
        lock="integrations/PLUGINS.lock",
    ),
    Attack(
        "several/code-of-the-root",
        "The folder itself has an __init__.py that the lock does not name.",
        Ignored("integrations.alpha.helper"),
        "import integrations.alpha.api",
        within(root_code),
        folders=(OTHER,),
    ),
)
