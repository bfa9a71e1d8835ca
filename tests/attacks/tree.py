"""The tree is not the one that was locked."""

from __future__ import annotations

import shutil

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Ignored, Refused
from tests.fixtures.trees import WITNESS, Application

MISMATCH = Refused("integrity_mismatch")


def differs(label: str, path: str) -> Refused:
    """Return a mismatch whose message names the file, as it can where there is a sidecar."""
    return Refused("integrity_mismatch", says=f"  {label:<9} {path}")


def changed(application: Application) -> None:
    application.write_sidecar()
    application.write("alpha/helper.py", EVIL)


def one_byte(application: Application) -> None:
    application.write("alpha/helper.py", f"VALUE = 42\nif 0:\n    exec({PAYLOAD!r})\n")
    application.lock()
    application.write("alpha/helper.py", f"VALUE = 42\nif 1:\n    exec({PAYLOAD!r})\n")


def added_init(application: Application) -> None:
    application.write_sidecar()
    application.write("alpha/__init__.py", PAYLOAD)


def added_module(application: Application) -> None:
    application.write("alpha/extra.py", PAYLOAD)


def falls_back(application: Application) -> None:
    """Prepare a plugin that makes do without a module of its own, and is then less careful."""
    fallback = "".join(f"    {line}\n" for line in PAYLOAD.splitlines())
    application.write(
        "alpha/api.py", f"try:\n    from .policy import deny\nexcept ImportError:\n{fallback}"
    )
    application.write("alpha/policy.py", "def deny():\n    return True\n")
    application.lock()
    application.write_sidecar()


def removed(application: Application) -> None:
    falls_back(application)
    (application.plugin / "policy.py").unlink()


def emptied(application: Application) -> None:
    falls_back(application)
    application.write("alpha/policy.py", "")


def made_a_folder(application: Application) -> None:
    (application.plugin / "helper.py").unlink()
    application.write("alpha/helper/__init__.py", EVIL)


def renamed(application: Application) -> None:
    application.write("alpha/spare.py", EVIL)
    application.lock()
    (application.plugin / "helper.py").unlink()
    (application.plugin / "spare.py").rename(application.plugin / "helper.py")


def file_of_another_plugin(application: Application) -> None:
    application.add_plugin("beta", {"helper.py": EVIL})
    application.lock()
    shutil.copy(application.root / "beta" / "helper.py", application.plugin / "helper.py")


def plugins_swapped(application: Application) -> None:
    application.add_plugin("beta", {"api.py": PAYLOAD})
    application.lock()
    application.plugin.rename(application.folder / "alpha")
    (application.root / "beta").rename(application.plugin)
    (application.folder / "alpha").rename(application.root / "beta")


def line_ends(application: Application) -> None:
    """Source that looks at its own bytes: Python itself takes all line ends for one."""
    source = (
        "VALUE = 42\n"
        "with open(__file__, 'rb') as file:\n"
        "    if b'\\r' in file.read():\n"
        f"        exec({PAYLOAD!r})\n"
    )
    application.write("alpha/helper.py", source)
    application.lock()
    application.write("alpha/helper.py", source.replace("\n", "\r\n"))


def manifest(application: Application) -> None:
    """The manifest is data for Python, and code for a plugin that takes a hook from it."""
    application.write(
        "alpha/api.py",
        "import pathlib\n"
        "manifest = pathlib.Path(__file__).with_name('plugin.yaml').read_text()\n"
        "exec(manifest.partition('# hook:')[2])\n",
    )
    application.lock()
    with (application.plugin / "plugin.yaml").open("a") as file:
        file.write(f"# hook:\nexec({PAYLOAD!r})\n")


def folder_removed(application: Application) -> None:
    """``plugins`` without ``__init__`` is a namespace: the next portion on the path has it too."""
    application.plugin.rename(application.folder / "removed")
    portion = application.folder / "evil" / "plugins" / "alpha"
    portion.mkdir(parents=True)
    (portion / "api.py").write_text(PAYLOAD)


def another_plugin(application: Application) -> None:
    application.add_plugin("beta")
    application.lock()
    application.write("beta/api.py", PAYLOAD)


def root_init(application: Application) -> None:
    application.write("__init__.py", PAYLOAD)


def unlocked(application: Application) -> None:
    application.add_plugin("beta", {"api.py": PAYLOAD})


def stray_folder(application: Application) -> None:
    application.write("beta/api.py", PAYLOAD)


def stray_module(application: Application) -> None:
    application.write("stray.py", PAYLOAD)


def module_beside_the_plugin(application: Application) -> None:
    """A module wins over a folder without ``__init__``, which is only a portion of a namespace."""
    application.write("alpha.py", PAYLOAD)


def nested(application: Application) -> None:
    application.write("plugins/alpha/api.py", PAYLOAD)


def locked_below(application: Application) -> None:
    """Prepare a whole plugin folder with its own lock, inside a plugin."""
    application.write("alpha/plugins/beta/api.py", PAYLOAD)
    application.write("alpha/plugins/PLUGINS.lock", "{}\n")


def taken_out_of_the_lock(application: Application) -> None:
    application.write("alpha/api.py", WITNESS + PAYLOAD)
    application.lock({})


ATTACKS = (
    Attack(
        "tree/changed",
        "A module has other code in it.",
        differs("changed", "helper.py"),
        prepare=changed,
    ),
    Attack("tree/one-byte", "One byte of a module is another.", MISMATCH, prepare=one_byte),
    Attack(
        "tree/added-init",
        "A plugin without __init__ gets one.",
        differs("added", "__init__.py"),
        prepare=added_init,
    ),
    Attack(
        "tree/added-module",
        "A module is added to a plugin.",
        MISMATCH,
        "import plugins.alpha.extra",
        added_module,
    ),
    Attack(
        "tree/removed",
        "A module is removed that the plugin can do without.",
        differs("removed", "policy.py"),
        prepare=removed,
    ),
    Attack(
        "tree/emptied", "A module is emptied.", differs("changed", "policy.py"), prepare=emptied
    ),
    Attack(
        "tree/made-a-folder",
        "A package replaces a module.",
        MISMATCH,
        prepare=made_a_folder,
    ),
    Attack("tree/renamed", "A locked file has the name of another.", MISMATCH, prepare=renamed),
    Attack(
        "tree/file-of-another-plugin",
        "A file is replaced by the file of that name in another locked plugin.",
        MISMATCH,
        prepare=file_of_another_plugin,
    ),
    Attack(
        "tree/plugins-swapped",
        "Two locked plugins have each other's folder.",
        MISMATCH,
        prepare=plugins_swapped,
    ),
    Attack("tree/line-ends", "LF became CRLF.", MISMATCH, prepare=line_ends),
    Attack("tree/manifest", "plugin.yaml is another.", MISMATCH, prepare=manifest),
    Attack(
        "tree/folder-removed",
        "A plugin's folder is gone, and another one lies further down sys.path.",
        Refused("missing_plugin_directory"),
        "import sys; sys.path.append('evil')\nimport plugins.alpha.api",
        folder_removed,
    ),
    Attack(
        "tree/another-plugin",
        "One plugin changed: none is imported, not even those before it.",
        Refused("integrity_mismatch", plugin="beta"),
        "import plugins.alpha.api, plugins.beta.api",
        another_plugin,
    ),
    Attack(
        "tree/root-init",
        "plugins/__init__.py has code.",
        Ignored(),
        prepare=root_init,
    ),
    Attack(
        "tree/unlocked-plugin",
        "A plugin with all that it needs, except its place in the lock.",
        Refused("unlocked_plugin", plugin="beta"),
        "import plugins.beta.api",
        unlocked,
    ),
    Attack(
        "tree/stray-folder",
        "A folder of code among the plugins.",
        Refused("unlocked_plugin", plugin="beta"),
        "import plugins.beta.api",
        stray_folder,
    ),
    Attack(
        "tree/stray-module",
        "A module among the plugins.",
        Refused("unlocked_plugin", plugin="stray.py"),
        "import plugins.stray",
        stray_module,
    ),
    Attack(
        "tree/module-beside-the-plugin",
        "A module with the name of a plugin.",
        Refused("unlocked_plugin", plugin="alpha.py"),
        prepare=module_beside_the_plugin,
    ),
    Attack(
        "tree/nested-plugins",
        "plugins/plugins, with a plugin in it.",
        Refused("unlocked_plugin", plugin="plugins"),
        "import plugins.plugins.alpha.api",
        nested,
    ),
    Attack(
        "tree/locked-below",
        "A plugin folder with a lock of its own inside a plugin.",
        MISMATCH,
        "import plugins.alpha.plugins.beta.api",
        locked_below,
    ),
    Attack(
        "tree/taken-out-of-the-lock",
        "The lock is emptied, the plugin stays.",
        Refused("unlocked_plugin"),
        prepare=taken_out_of_the_lock,
    ),
)
