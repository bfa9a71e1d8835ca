"""CPython's abstract tests of finders and loaders, filled in for the guard's own.

Run in a fresh interpreter as ``python cpython_suite.py ROOT CLASS``, by ``test_cpython_suite``.
``ROOT`` is a plugin folder with a locked plugin ``alpha`` that holds what these tests look for.
"""

# unittest runs this file, as it runs CPython's own suite: pytest has no part in it.
# ruff: noqa: PT009, PT027

from __future__ import annotations

import importlib
import os
import sys
import types
import unittest
import warnings
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

import codegenie.plugins.guard as guard

ROOT = sys.argv[1]
ALPHA = f"{ROOT}/alpha"
SUFFIX = EXTENSION_SUFFIXES[0]
# No type information comes with it, and it is not in every interpreter.
abc: Any = importlib.import_module("test.test_importlib.abc")

guard.install(root=ROOT)


def forget() -> None:
    """Take every guarded module out of ``sys.modules``."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "plugins"]:
        del sys.modules[name]


# --- finders ------------------------------------------------------------------------------------


class Finder(abc.FinderTests):  # type: ignore[misc]
    """Tests of both kinds of finder. ``find`` calls the finder."""

    def find(self, name: str) -> ModuleSpec | None:
        raise NotImplementedError

    def assert_found(self, name: str, file: str, *, package: bool = False) -> None:
        spec: Any = self.find(name)
        self.assertIsNotNone(spec)
        self.assertEqual(spec.name, name)
        self.assertEqual(spec.origin, f"{ALPHA}/{file}")
        self.assertTrue(spec.has_location)
        self.assertTrue(hasattr(spec.loader, "exec_module"))
        self.assertEqual(spec.loader.get_filename(name), spec.origin)
        self.assertIs(spec.loader.is_package(name), package)
        folder = os.path.dirname(f"{ALPHA}/{file}")
        self.assertEqual(spec.submodule_search_locations, [folder] if package else None)
        self.assertEqual(spec.parent, name if package else name.rpartition(".")[0])

    def test_module(self) -> None:
        self.assert_found("plugins.alpha.module", "module.py")
        self.assert_found("plugins.alpha._queue", f"_queue{SUFFIX}")

    def test_package(self) -> None:
        self.assert_found("plugins.alpha.package", "package/__init__.py", package=True)
        self.assert_found("plugins.alpha._lsprof", f"_lsprof/__init__{SUFFIX}", package=True)

    def test_package_over_module(self) -> None:
        self.assert_found("plugins.alpha.both", "both/__init__.py", package=True)


class MetaPathFinder(Finder, unittest.TestCase):
    """``sys.meta_path[0]``. Whatever is passed as ``path``, it answers by what it verified."""

    path: list[str] | None = None

    @classmethod
    def setUpClass(cls) -> None:
        importlib.import_module("plugins")

    def setUp(self) -> None:
        self.finder = sys.meta_path[0]
        self.assertIsInstance(self.finder, importlib.import_module("importlib.abc").MetaPathFinder)

    def find(self, name: str) -> ModuleSpec | None:
        return self.finder.find_spec(name, self.path)

    def test_module_in_package(self) -> None:
        for self.path in (None, [], [f"{ALPHA}/package"], ["/nowhere"]):
            self.assert_found("plugins.alpha.package.module", "package/module.py")

    def test_package_in_package(self) -> None:
        for self.path in (None, [], [f"{ALPHA}/package"], ["/nowhere"]):
            self.assert_found("plugins.alpha", "__init__.py", package=True)
            self.assert_found(
                "plugins.alpha.package.inner", "package/inner/__init__.py", package=True
            )

    def test_failure(self) -> None:
        for name in ("json", "plugin", "pluginsx", "plugins_old", "Plugins", "xplugins.alpha", ""):
            with self.subTest(name):
                self.assertIsNone(self.find(name))
        for name in ("plugins.beta", "plugins.alpha.missing", "plugins.alpha.module.missing"):
            with self.subTest(name):
                self.assertIsNone(self.find(name))
            # For an import, None would let the next finder look at the disk.
            with self.subTest(name), self.assertRaises(ModuleNotFoundError) as caught:
                importlib.import_module(name)
            self.assertEqual(caught.exception.name, name)


class PathEntryFinder(Finder, unittest.TestCase):
    """The entries of ``sys.path_importer_cache`` for the folders of a plugin."""

    @classmethod
    def setUpClass(cls) -> None:
        importlib.import_module("plugins.alpha.package")

    def find(self, name: str) -> ModuleSpec | None:
        folder = "/".join([ROOT, *name.split(".")[1:-1]])
        finder = sys.path_importer_cache[folder]
        self.assertIsNotNone(finder)
        return finder.find_spec(name)  # type: ignore[union-attr]

    def test_module_in_package(self) -> None:
        self.assert_found("plugins.alpha.package.module", "package/module.py")

    def test_package_in_package(self) -> None:
        self.assert_found("plugins.alpha", "__init__.py", package=True)
        self.assert_found("plugins.alpha.package.inner", "package/inner/__init__.py", package=True)

    def test_failure(self) -> None:
        for name in ("plugins.beta", "plugins.alpha.missing", "plugins.alpha.package.missing"):
            with self.subTest(name):
                self.assertIsNone(self.find(name))


# --- loaders ------------------------------------------------------------------------------------


class Loader(abc.LoaderTests):  # type: ignore[misc]
    """Tests of the loaders of files. Each test loads as ``importlib`` does, and as it did."""

    def setUp(self) -> None:
        self.addCleanup(forget)

    def spec(self, name: str) -> ModuleSpec:
        spec = sys.meta_path[0].find_spec(name, None)
        assert spec is not None
        return spec

    def load(self, spec: ModuleSpec) -> types.ModuleType:
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        assert spec.loader is not None
        spec.loader.exec_module(module)
        return sys.modules[spec.name]

    def load_module(self, spec: ModuleSpec, name: str | None = None) -> types.ModuleType:
        """Load as in PEP 302, on interpreters that support it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return spec.loader.load_module(name or spec.name)  # type: ignore[union-attr]

    def ways(self) -> list[Any]:
        has_load_module = hasattr(importlib.import_module("importlib.abc").Loader, "load_module")
        return [self.load, self.load_module] if has_load_module else [self.load]

    def assert_loads(self, name: str, file: str, *, package: bool = False) -> None:
        for load in self.ways():
            with self.subTest(load.__name__):
                importlib.import_module("plugins")
                spec = self.spec(name)
                forget()
                module = load(spec)
                self.assertIs(sys.modules[name], module)
                self.assertEqual(module.__name__, name)
                self.assertEqual(module.__file__, f"{ALPHA}/{file}")
                self.assertEqual(module.__package__, name if package else name.rpartition(".")[0])
                self.assertIs(type(module.__loader__), type(spec.loader))
                self.assertEqual(module.__loader__, spec.loader)
                if package:
                    self.assertEqual(module.__path__, [os.path.dirname(f"{ALPHA}/{file}")])
                else:
                    self.assertFalse(hasattr(module, "__path__"))
                # Its parents were not imported for it.
                self.assertEqual(
                    [n for n in sys.modules if n.partition(".")[0] == "plugins"], [name]
                )


class SourceLoader(Loader, unittest.TestCase):
    def test_module(self) -> None:
        self.assert_loads("plugins.alpha.module", "module.py")

    def test_package(self) -> None:
        self.assert_loads("plugins.alpha.package", "package/__init__.py", package=True)

    def test_lacking_parent(self) -> None:
        self.assert_loads("plugins.alpha.package.inner.module", "package/inner/module.py")

    def test_module_reuse(self) -> None:
        module = importlib.import_module("plugins.alpha.module")
        before = vars(module)
        module.VALUE = "changed"  # type: ignore[attr-defined]
        self.assertIs(importlib.reload(module), module)
        self.assertIs(vars(module), before)
        self.assertEqual(module.VALUE, 1)

    def test_state_after_failure(self) -> None:
        """A module that cannot be compiled, and one that is refused."""
        importlib.import_module("plugins")
        refused = f"{ALPHA}/replaced.py"
        spec = self.spec("plugins.alpha.replaced")
        with open(refused, "a") as file:
            file.write("VALUE = 'replaced'\n")
        attributes = ("__file__", "__path__", "__package__")
        for name, error in (
            ("plugins.alpha.bad_syntax", SyntaxError),
            (spec.name, importlib.import_module("codegenie.plugins.errors").PluginImportRefused),
        ):
            with self.subTest(name):
                module = types.ModuleType(name)
                for attribute in attributes:
                    setattr(module, attribute, "<test>")
                sys.modules[name] = module
                loader = self.spec(name).loader
                assert loader is not None
                with self.assertRaises(error):
                    loader.exec_module(module)
                self.assertIs(sys.modules[name], module)
                self.assertEqual([getattr(module, a) for a in attributes], ["<test>"] * 3)
                self.assertFalse(hasattr(module, "VALUE"))

    def test_bad_syntax(self) -> None:
        with self.assertRaises(SyntaxError):
            importlib.import_module("plugins.alpha.bad_syntax")
        self.assertNotIn("plugins.alpha.bad_syntax", sys.modules)

    def test_unloadable(self) -> None:
        """A module that is not the loader's own, by each way in which it can be named."""
        importlib.import_module("plugins")
        spec = self.spec("plugins.alpha.module")
        loader: Any = spec.loader
        module = types.ModuleType("bad name")
        module.__spec__ = ModuleSpec("bad name", loader)
        with self.assertRaises(ImportError):
            loader.exec_module(module)
        for ask in (loader.get_filename, loader.get_source, loader.get_code):
            with self.subTest(ask.__name__), self.assertRaises(ImportError) as caught:
                ask("bad name")
            self.assertEqual(caught.exception.name, "bad name")
        self.assertEqual(loader.get_filename(), spec.origin)
        if self.load_module in self.ways():
            with self.assertRaises(ImportError):
                self.load_module(spec, "bad name")
        self.assertNotIn("bad name", sys.modules)

    def test_equality(self) -> None:
        importlib.import_module("plugins")
        one, same = (self.spec("plugins.alpha.module") for _ in range(2))
        self.assertEqual(one.loader, same.loader)
        self.assertNotEqual(one.loader, self.spec("plugins.alpha.both").loader)


class ExtensionLoader(Loader):
    """As in CPython's own suite, there is no way to make the second load of one fail."""

    name: str
    test_state_after_failure = None

    def file(self) -> str:
        return f"{self.name.rpartition('.')[2]}{SUFFIX}"

    def test_module(self) -> None:
        self.assert_loads(self.name, self.file())

    def test_package(self) -> None:
        self.assert_loads("plugins.alpha._lsprof", f"_lsprof/__init__{SUFFIX}", package=True)

    def test_lacking_parent(self) -> None:
        file = f"package/{self.file()}"
        self.assert_loads(self.name.replace("alpha", "alpha.package"), file)

    def test_unloadable(self) -> None:
        """Names for which the file has no entry point; the error names the file, not its copy."""
        importlib.import_module("plugins")
        spec = self.spec(self.name)
        for name in ("asdfjkl;", "fo\xf3", "plugins.alpha.other"):
            with self.subTest(name), self.assertRaises(ImportError) as caught:
                other = spec_from_loader(name, spec.loader, origin=spec.origin)
                assert other is not None
                module_from_spec(other)
            self.assertEqual(caught.exception.name, name)
            self.assertEqual(caught.exception.path, spec.origin)

    def test_is_package(self) -> None:
        importlib.import_module("plugins")
        loader: Any = self.spec(self.name).loader
        self.assertFalse(loader.is_package(self.name))
        self.assertIsNone(loader.get_code(self.name))
        self.assertIsNone(loader.get_source(self.name))


class MultiPhaseExtensionLoader(ExtensionLoader, unittest.TestCase):
    name = "plugins.alpha._queue"


class SinglePhaseExtensionLoader(ExtensionLoader, unittest.TestCase):
    name = "plugins.alpha._testbuffer"


class NamespaceLoader(Loader, unittest.TestCase):
    """It has no code, so that nothing can fail; and it is never a plain module."""

    test_module = None
    test_state_after_failure = None
    test_unloadable = None

    def assert_namespace(self, name: str, folder: str) -> None:
        importlib.import_module("plugins")
        spec = self.spec(name)
        forget()
        module = self.load(spec)
        self.assertIs(sys.modules[name], module)
        self.assertEqual((module.__name__, module.__package__), (name, name))
        self.assertIsNone(module.__file__)
        self.assertEqual(list(module.__path__), [folder])
        self.assertIs(module.__loader__, spec.loader)
        self.assertFalse(spec.has_location)

    def test_package(self) -> None:
        self.assert_namespace("plugins.alpha.namespace", f"{ALPHA}/namespace")

    def test_lacking_parent(self) -> None:
        self.assert_namespace("plugins.alpha.namespace.inner", f"{ALPHA}/namespace/inner")


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(globals()[sys.argv[2]])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    print(f"ran {result.testsRun}, skipped {len(result.skipped)}, ok {result.wasSuccessful()}")
