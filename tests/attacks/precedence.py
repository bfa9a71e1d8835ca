"""Making Python look somewhere else: another folder, a longer ``__path__``, a poisoned cache."""

from __future__ import annotations

import zipfile

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Ignored, NotThere, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.fixtures.trees import Application

VERIFIED_RAN = Ignored("plugins.alpha.api")
IN_NO_TREE = NotThere("plugins.alpha.extra")
MISMATCH = Refused("integrity_mismatch")
EXTRA = ("__init__.py", "api.py", "extra.py")


def second_folder(application: Application) -> None:
    """``evil/plugins``, a regular package, which wins over a namespace wherever it lies."""
    folder = application.folder / "evil" / "plugins" / "alpha"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    for name in EXTRA:
        (folder / name).write_text(PAYLOAD)


def second_portion(application: Application) -> None:
    """``evil/plugins`` without ``__init__``: more of the same namespace, at every level."""
    for name in ("alpha/extra.py", "alpha/sub/extra.py"):
        path = application.folder / "evil" / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAYLOAD)


def second_folder_with_a_lock(application: Application) -> None:
    second_folder(application)
    evil = application.folder / "evil" / "plugins"
    evil.joinpath("PLUGINS.lock").write_bytes(application.lock_path.read_bytes())


def in_an_archive(application: Application) -> None:
    for archive in ("evil.zip", "evil-1.0-py3.egg"):
        with zipfile.ZipFile(application.folder / archive, "w") as file:
            file.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: evil\n")
            file.writestr("plugins/__init__.py", "")
            for name in EXTRA:
                file.writestr(f"plugins/alpha/{name}", PAYLOAD)


def through_pth(application: Application) -> None:
    second_folder(application)
    site = application.folder / "site-packages"
    site.mkdir()
    (site / "evil.pth").write_text("../evil\n")


def sub_package(application: Application) -> None:
    second_folder(application)
    application.write("alpha/sub/__init__.py", "")
    application.lock()


def package_that_extends_its_path(application: Application) -> None:
    """Make a plugin that extends its path. It gets its own verified tree."""
    second_folder(application)
    (application.folder / "evil" / "alpha").mkdir()
    (application.folder / "evil" / "alpha" / "__init__.py").write_text("")
    (application.folder / "evil" / "alpha" / "extra.py").write_text(PAYLOAD)
    application.write(
        "alpha/__init__.py", "import pkgutil\n__path__ = pkgutil.extend_path(__path__, 'alpha')\n"
    )
    application.lock()


def package_shadows_module(application: Application) -> None:
    application.write("alpha/helper/__init__.py", EVIL)


def extension_shadows_module(application: Application) -> None:
    application.write(f"alpha/helper{SUFFIX}", machine_code())


def stable_abi_shadows_module(application: Application) -> None:
    application.write("alpha/helper.abi3.so", machine_code())


def library_shadows_module(application: Application) -> None:
    application.write("alpha/helper.so", machine_code())


def extension_changed(application: Application) -> None:
    application.write(f"alpha/helper{SUFFIX}", machine_code("-DQUIET"))
    application.lock()
    application.write(f"alpha/helper{SUFFIX}", machine_code())


def extension_shadows_package(application: Application) -> None:
    application.write("alpha/__init__.py", "")
    application.lock()
    application.write("alpha/__init__.so", machine_code())


def earlier(path: str) -> str:
    return f"import sys; sys.path.insert(0, {path!r})\nimport plugins.alpha.api"


def looks_in(change: str) -> str:
    """Return a script that imports a plugin, makes Python look elsewhere, and imports another
    module."""
    return f"import sys, plugins.alpha.api\n{change}\nimport plugins.alpha.extra"


ATTACKS = (
    Attack(
        "precedence/earlier-on-the-path",
        "A second plugins/ earlier on sys.path.",
        VERIFIED_RAN,
        earlier("evil"),
        second_folder,
    ),
    Attack(
        "precedence/pythonpath",
        "A second plugins/ on PYTHONPATH, and a namespace in the application.",
        VERIFIED_RAN,
        prepare=second_folder,
        environment={"PYTHONPATH": "evil"},
    ),
    Attack(
        "precedence/with-its-own-lock",
        "A second plugins/ that has a lock, where the first one is pinned.",
        VERIFIED_RAN,
        earlier("evil"),
        second_folder_with_a_lock,
        settings={"root": "plugins"},
    ),
    Attack(
        "precedence/working-folder",
        "The working folder changes to one with a plugins/ of its own.",
        VERIFIED_RAN,
        "import os; os.chdir('evil')\nimport plugins.alpha.api",
        second_folder_with_a_lock,
        settings={"root": "plugins"},
    ),
    Attack(
        "precedence/zip",
        "A second plugins/ in a zip.",
        VERIFIED_RAN,
        earlier("evil.zip"),
        in_an_archive,
    ),
    Attack(
        "precedence/egg",
        "A second plugins/ in an egg.",
        VERIFIED_RAN,
        earlier("evil-1.0-py3.egg"),
        in_an_archive,
    ),
    Attack(
        "precedence/pth",
        "A second plugins/ through a .pth file.",
        VERIFIED_RAN,
        "import site; site.addsitedir('site-packages')\nimport plugins.alpha.api",
        through_pth,
    ),
    Attack(
        "precedence/importer-cache",
        "sys.path_importer_cache has a finder for another folder.",
        VERIFIED_RAN,
        """
        import sys, importlib.machinery as m, os
        finder = m.FileFinder(os.path.abspath('evil/plugins'), (m.SourceFileLoader, ['.py']))
        sys.path_importer_cache[os.path.abspath('plugins')] = finder
        import plugins.alpha.api
        """,
        second_folder,
    ),
    Attack(
        "precedence/path-hook",
        "sys.path_hooks has a hook that leads to another folder.",
        VERIFIED_RAN,
        """
        import sys, importlib.machinery as m, os
        def hook(path):
            if path != os.path.abspath('plugins'):
                raise ImportError
            return m.FileFinder(os.path.abspath('evil/plugins'), (m.SourceFileLoader, ['.py']))
        sys.path_hooks.insert(0, hook)
        sys.path_importer_cache.clear()
        import plugins.alpha.api
        """,
        second_folder,
    ),
    Attack(
        "precedence/namespace-portion",
        "A further portion of the namespace that a plugin without __init__ is.",
        IN_NO_TREE,
        "import sys; sys.path.append('evil')\nimport plugins.alpha.extra",
        second_portion,
    ),
    Attack(
        "precedence/path-appended",
        "A folder is appended to a plugin's __path__.",
        IN_NO_TREE,
        looks_in("plugins.alpha.__path__.append('evil/plugins/alpha')"),
        second_folder,
    ),
    Attack(
        "precedence/path-replaced",
        "A plugin's __path__ is replaced.",
        IN_NO_TREE,
        looks_in("plugins.alpha.__path__ = ['evil/plugins/alpha']"),
        second_folder,
    ),
    Attack(
        "precedence/root-path-replaced",
        "The __path__ of plugins is replaced.",
        VERIFIED_RAN,
        "import plugins; plugins.__path__ = ['evil/plugins']\nimport plugins.alpha.api",
        second_folder,
    ),
    Attack(
        "precedence/root-path-prepended",
        "A folder is put before the one in the __path__ of plugins.",
        VERIFIED_RAN,
        """
        import plugins
        plugins.__path__ = ['evil/plugins', *plugins.__path__]
        import plugins.alpha.api
        """,
        second_folder,
    ),
    Attack(
        "precedence/sub-package-path",
        "A folder is appended to the __path__ of a package inside a plugin.",
        NotThere("plugins.alpha.sub.extra"),
        "import plugins.alpha.sub as sub; sub.__path__.append('evil/plugins/alpha')\n"
        "import plugins.alpha.sub.extra",
        sub_package,
    ),
    Attack(
        "precedence/search-locations",
        "The search locations of a plugin's spec are replaced.",
        IN_NO_TREE,
        looks_in(
            "plugins.alpha.__spec__.submodule_search_locations = ['evil/plugins/alpha']\n"
            "plugins.alpha.__path__ = plugins.alpha.__spec__.submodule_search_locations"
        ),
        second_folder,
    ),
    Attack(
        "precedence/extend-path",
        "A plugin calls pkgutil.extend_path.",
        IN_NO_TREE,
        "import sys; sys.path.append('evil')\nimport plugins.alpha.extra",
        package_that_extends_its_path,
    ),
    Attack(
        "precedence/fake-root",
        "sys.modules has another 'plugins' before the first import.",
        Refused("unverified_code", plugin="plugins"),
        """
        import sys, types
        sys.modules['plugins'] = types.ModuleType('plugins')
        sys.modules['plugins'].__path__ = ['evil/plugins']
        import plugins.alpha.api
        """,
        second_folder,
    ),
    Attack(
        "precedence/fake-plugin",
        "sys.modules has another 'plugins.alpha', whose __path__ leads elsewhere.",
        VERIFIED_RAN,
        """
        import sys, types, plugins
        sys.modules['plugins.alpha'] = types.ModuleType('plugins.alpha')
        sys.modules['plugins.alpha'].__path__ = ['evil/plugins/alpha']
        import plugins.alpha.api
        """,
        second_folder,
    ),
    Attack(
        "precedence/package",
        "A package of the name of a module beside it.",
        MISMATCH,
        prepare=package_shadows_module,
    ),
    Attack(
        "precedence/extension",
        "An extension module of the name of a module beside it.",
        MISMATCH,
        prepare=extension_shadows_module,
        needs=A_COMPILER,
    ),
    Attack(
        "precedence/stable-abi",
        "The same with the suffix of the stable ABI.",
        MISMATCH,
        prepare=stable_abi_shadows_module,
        needs=A_COMPILER,
    ),
    Attack(
        "precedence/library",
        "The same with the suffix of libraries.",
        MISMATCH,
        prepare=library_shadows_module,
        needs=A_COMPILER,
    ),
    Attack(
        "precedence/extension-changed",
        "A module and an extension module of its name are locked, and the latter is changed.",
        MISMATCH,
        prepare=extension_changed,
        needs=A_COMPILER,
    ),
    Attack(
        "precedence/extension-for-init",
        "__init__.so beside a plugin's __init__.py.",
        MISMATCH,
        "import plugins.alpha",
        extension_shadows_package,
        needs=A_COMPILER,
    ),
)
