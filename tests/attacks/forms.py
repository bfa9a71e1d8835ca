"""The forms in which a folder is guarded, and the catalogue of attacks for each.

An attack is written for the package ``plugins``, and names it in scripts, in file names, and in what
it expects. For another form the names are translated in the source of the modules that define
attacks, and copies of them are imported. The modules that describe and run attacks stay as they are.
"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tests.attacks.attack import THE_ROOT, Attack, Closed, Expected, Refused
from tests.attacks.catalogue import CATALOGUE, MODULES

_PLUGINS = r"(?<!codegenie\.)\bplugins\b"
_OWN = re.compile(rf"tests\.attacks\.(?=(?:{'|'.join(MODULES)}|catalogue)\b)")
_OWN_LIST = "from tests.attacks import ("


def unchanged(text: str) -> str:
    """Return the text as it is."""
    return text


def as_it_is(attack: Attack) -> Attack:
    """Return the attack as it is."""
    return attack


@dataclass(frozen=True)
class Form:
    """A way to guard a folder: by the names of a package, by top-level names, or by path only."""

    name: str
    package: str | None
    """The argument of ``guard.install``."""
    folder: str = "plugins"
    """The folder's name."""
    translate: Callable[[str], str] = unchanged
    """Translates the text of a module or of an attack."""
    first: str = ""
    """Lines that the program runs before the guard is installed. ``ROOT`` becomes the path."""
    adapt: Callable[[Attack], Attack] = as_it_is
    """Returns an attack with what else is different in this form, as its expected end."""
    senseless: Mapping[str, str] = field(default_factory=dict)
    """Attacks that make no sense in this form, with the reason. The guard does not stop them."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the arguments of ``guard.install`` that every attack in this form has."""
        if self.package == "plugins":
            return {}
        # Only a package names its folder on sys.path.
        root = {} if self.package else {"root": self.folder}
        return {"package": self.package, **root}

    def attacks(self) -> tuple[Attack, ...]:
        """Return all attacks on a folder that is guarded in this form."""
        if self.translate is unchanged:
            attacks = CATALOGUE
        else:
            copies = f"attacks_{re.sub(r'[^a-z]', '_', self.name)}"
            if copies not in sys.modules:
                _copy(copies, self.translate)
            copied: tuple[Attack, ...] = importlib.import_module(f"{copies}.catalogue").CATALOGUE
            attacks = tuple(_translated(attack, self.translate) for attack in copied)
        return tuple(
            self.adapt(attack)
            for attack in attacks
            # Attacks on several folders name their forms themselves.
            if self.name == "plugins" or attack.group != "several"
        )


def _copy(copies: str, translate: Callable[[str], str]) -> None:
    with tempfile.TemporaryDirectory(prefix="attacks-") as place:
        folder = Path(place, copies)
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name in (*MODULES, "catalogue"):
            source = (Path(__file__).parent / f"{name}.py").read_text()
            source = _OWN.sub(f"{copies}.", translate(source))
            source = source.replace(_OWN_LIST, f"from {copies} import (")
            (folder / f"{name}.py").write_text(source)
        sys.path.insert(0, place)
        try:
            importlib.import_module(f"{copies}.catalogue")
        finally:
            sys.path.remove(place)


def _translated(value: Any, translate: Callable[[str], str]) -> Any:
    """Translate the texts of an attack whose default is in a module that stays."""
    if isinstance(value, str):
        return translate(value)
    if isinstance(value, tuple):
        return tuple(_translated(item, translate) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _translated(getattr(value, field.name), translate)
            for field in fields(value)
            if field.name not in ("name", "does", "needs")
        }
        return replace(value, **changed)
    return value


# --- the forms ------------------------------------------------------------------------------------

PLUGINS = Form("plugins", "plugins")


def _with_another_package(text: str) -> str:
    text = re.sub(rf"{_PLUGINS}|(?<=b'c)plugins\b", "custom_components", text)
    # The second folder has the same package as the first.
    return text.replace("Application(evil)", 'Application(evil, "custom_components")')


ANOTHER_PACKAGE = Form(
    "another-package",
    "custom_components",
    "custom_components",
    _with_another_package,
)

_TOP_LEVEL = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        # A unit that has the folder's name: in the folder, and not in the namespace around it.
        (
            r"import plugins\.plugins\.([\w.]+)",
            r"import sys; sys.path.insert(0, 'plugins'); __import__('plugins' '.\1')",
        ),
        (r"\bfrom plugins import (\w+)", r"import \1"),
        (r"walk_packages\(plugins\.__path__", "walk_packages(['plugins']"),
        (r"(?:(?<![.\w])|(?<=\\n)|(?<=b'c))plugins\.(?=[a-zA-Z]|['\"])", ""),
        (r"\bimport plugins(?![.\w])", "import alpha"),
        (r"(import [\w., ]+), plugins(?![.\w])", r"\1, alpha"),
        (r"\[0\] != 'plugins'", "[0] not in ('alpha', 'beta')"),
        (r"\[0\] == 'plugins'", "[0] in ('alpha', 'beta')"),
        (r"\('codegenie', 'plugins'\)", "('codegenie', 'alpha')"),
        (r"'lock': 'outside\.lock'}", "'lock': 'outside.lock', 'package': ''}"),
        # A search path leads to the units of a second folder, and not to a second package.
        (
            r"((?:insert\(0, |append\(|abspath\(|chdir\(|earlier\(|\"PYTHONPATH\": )"
            r"['\"]evil(?:\.zip|-1\.0-py3\.egg)?)(?=['\"][)}])",
            r"\1/plugins",
        ),
        (r"plugin=\"plugins\", (at=\"evil/plugins)/__init__", r"\1/alpha/__init__"),
        (r"\"\.\./evil\\n", r'"../evil/plugins\\n'),
    )
]


def _without_package(text: str) -> str:
    for pattern, replacement in _TOP_LEVEL:
        text = pattern.sub(replacement, text)
    return text


def _of_no_package(expected: Expected) -> Expected:
    """Return the refusal of a folder that no package names: by its path."""
    if isinstance(expected, Refused) and expected.kind == "unverified_code":
        return replace(
            expected, plugin=THE_ROOT if expected.plugin == "plugins" else expected.plugin
        )
    return expected


_TOP_LEVEL_EXPECTED: dict[str, Expected] = {
    "lock/missing": Refused("lock_file_malformed", "<lockfile>"),
    # The lock says which names are guarded, so there is no installation without it.
    "settings/audit-then-enforce": Closed("does not exist", raised="ValueError"),
    "settings/audit-then-enforce-without-a-root": Closed("does not exist", raised="ValueError"),
    "settings/audit-then-pinned": Closed("does not exist", raised="ValueError"),
    "settings/enforced-during-a-report": Closed("does not exist", raised="ValueError"),
    "settings/audit-then-enforce-by-the-environment": Closed("does not exist", raised="ValueError"),
}


def _by_top_level_name(attack: Attack) -> Attack:
    expected = _of_no_package(_TOP_LEVEL_EXPECTED.get(attack.name, attack.expected))
    of_the_lock = isinstance(expected, Refused) and expected.plugin == "<lockfile>"
    if not (of_the_lock or attack.group == "trust") or attack.folders:
        return replace(attack, expected=expected)
    if isinstance(expected, Refused) and attack.lock != "plugins/PLUGINS.lock":
        return replace(attack, expected=Closed(expected.says, raised="ValueError"))
    # The lock, which is the attack, says nothing about names: they are pinned.
    return replace(attack, expected=expected, pinned=True)


NO_PACKAGE = "no package is around the units"

TOP_LEVEL = Form(
    "top-level",
    "",
    translate=_without_package,
    first="import sys; sys.path.append(ROOT)\n",
    adapt=_by_top_level_name,
    senseless={
        "tree/root-init": NO_PACKAGE,
        "bytecode/init-of-the-root": NO_PACKAGE,
        "precedence/root-path-replaced": NO_PACKAGE,
        "precedence/root-path-prepended": NO_PACKAGE,
        "precedence/fake-root": NO_PACKAGE,
        "units/root-init": NO_PACKAGE,
        "trust/name-left-out": "the script sets up the folder by itself",
    },
)

# Without the guard `import plugins.alpha` runs nothing, and with the name unclaimed it decides
# nothing. A host that loads by path makes a module of a file first.
LOOK = """
def look():
    bootstrap, external = sys.modules['_frozen_importlib'], sys.modules['_frozen_importlib_external']
    import plugins.alpha as package
    spec = external.PathFinder.find_spec('plugins.alpha.api', package.__path__)
    bootstrap.module_from_spec(spec)

"""

_BY_PATH = [
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (
            r"(?<!lazy )(\bimport (?:[\w., ]+, )?plugins(?:\.alpha)?)(?=\\n|\n|;(?! look)|\"|$)",
            r"\1; look()",
        ),
        (r"(?<!lazy )(\bimport )(plugins\.alpha), ([\w., ]+)", r"\1\2, \3; look()"),
        # The finder that finds plugins is that of the path, guarded or not.
        (r"sys\.meta_path\[0\] if guarded else ", ""),
        (r"'lock': 'outside\.lock'}", "'lock': 'outside.lock', 'package': None}"),
        (r"return since if sys\.version_info >= \(3, 15\) else before", "return since"),
    )
]


def _looking_first(text: str) -> str:
    for pattern, replacement in _BY_PATH:
        text = pattern.sub(replacement, text)
    return text


NAME = "no folder claims the name, so a module elsewhere may have it"
OWN_CODE = "no folder claims the name, so a tracer may run code of its own under it"

_BY_PATH_EXPECTED: dict[str, Expected] = {
    "tree/root-init": Refused("unverified_code", THE_ROOT, at="plugins/__init__.py"),
    "bytecode/source-in-a-cache": Refused(
        "unverified_code", at="plugins/alpha/__pycache__/hidden.py"
    ),
    "bytecode/init-of-the-root": Refused("unverified_code", THE_ROOT, at="plugins/__init__.pyc"),
    "displacement/removed-reload": Refused("integrity_mismatch", says="changed   helper.py"),
    "displacement/cleared-later": Refused("integrity_mismatch"),
    "displacement/at-the-end-by-a-link-of-a-shared-folder": Refused(
        "unverified_code", says="while the interpreter ends"
    ),
    "lock/missing": Refused("lock_file_malformed", "<lockfile>"),
    "settings/audit-then-enforce-by-the-environment": Refused("lock_file_malformed", "<lockfile>"),
}


def _by_path(attack: Attack) -> Attack:
    expected = _of_no_package(_BY_PATH_EXPECTED.get(attack.name, attack.expected))
    if attack.script == "load()":  # which imports plugins by their names
        expected = Refused(
            "plugin_import_error", "<guard>", says="claims no package", raised="LoadRejected"
        )
    return replace(attack, expected=expected)


_NAMES_BY_PATH = """
tree/folder-removed
precedence/earlier-on-the-path
precedence/pythonpath
precedence/with-its-own-lock
precedence/working-folder
precedence/zip
precedence/egg
precedence/pth
precedence/importer-cache
precedence/path-hook
precedence/namespace-portion
precedence/path-appended
precedence/path-replaced
precedence/root-path-replaced
precedence/root-path-prepended
precedence/sub-package-path
precedence/search-locations
precedence/extend-path
precedence/fake-root
precedence/fake-plugin
displacement/traced-under-another-name
displacement/traced-own-execution-under-another-name
displacement/finds-once
displacement/at-the-end-under-a-plugins-name
displacement/at-the-end-under-a-plugins-name-elsewhere
displacement/removed-elsewhere
displacement/removed-elsewhere-by-name
displacement/another-first
displacement/another-first-by-name
displacement/another-first-later
displacement/racing-finder
displacement/guard-again
displacement/guard-again-removed
displacement/spec-with-guarded-name
displacement/own-execution
displacement/own-execution-reload
displacement/own-execution-by-the-library
displacement/own-execution-by-the-profiler
displacement/extension-elsewhere
absent/import
absent/second-answer
absent/passed-on
absent/find-spec
absent/find-spec-own-execution
absent/run-module
displacement/extension-with-guarded-name
"""

_OWN_CODE_BY_PATH = """
displacement/traced-exec-module
displacement/traced-exec-module-by-a-helper
displacement/traced-exec-module-elsewhere
displacement/traced-exec-module-of-text
displacement/traced-exec-module-profiled
displacement/traced-exec-module-by-importlib
displacement/traced-create-module
displacement/traced-exec-module-of-the-class
displacement/traced-wrapping-loader
"""

BY_PATH = Form(
    "by-path",
    None,
    translate=_looking_first,
    first=LOOK,
    adapt=_by_path,
    senseless={
        "trust/accepting-verifier": "load_plugins imports by name",
        "settings/enforced-during-a-report": "the root is known, so the mode is settled before",
        **dict.fromkeys(_NAMES_BY_PATH.split(), NAME),
        **dict.fromkeys(_OWN_CODE_BY_PATH.split(), OWN_CODE),
    },
)

NO_SAMPLE = ("entries/many", "entries/huge", "entries/too-deep", "timing/racing-thread")
"""Attacks that take longest."""

EVERY = 66
"""The tests run one attack in so many in another form: all of them would take an hour of each
Python. Each Python runs others."""


def sample() -> list[tuple[Form, Attack]]:
    """Return the attacks that the tests run in other forms, a few of all forms and groups."""
    pairs = [
        (form, attack)
        for form in (ANOTHER_PACKAGE, TOP_LEVEL, BY_PATH)
        for attack in form.attacks()
        if attack.needs.available and attack.name not in NO_SAMPLE and attack.group != "lazy"
    ]
    return pairs[sys.version_info.minor % EVERY :: EVERY]


FORMS = {form.name: form for form in (PLUGINS, ANOTHER_PACKAGE, TOP_LEVEL, BY_PATH)}
