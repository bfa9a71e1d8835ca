"""Describe an attack, and the ways in which the guard stops its payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fixtures.trees import Application

# Leaves a mark outside the process: the witness file shows that a line ran, whatever happens to
# exceptions.
PAYLOAD = "import os\nwith open(os.environ['WITNESS'], 'a') as f:\n    f.write('PAYLOAD\\n')\n"
# The payload in the place of ``helper.py``, which ``api.py`` imports and takes ``VALUE`` from.
EVIL = PAYLOAD + "VALUE = 1\n"
MARK = "PAYLOAD"

THE_ROOT = "<root>"
"""Stands for the path of the guarded folder, where no package names it."""

IMPORT = "import plugins.alpha.api"


@dataclass(frozen=True)
class Refused:
    """``PluginImportRefused``, with this evidence."""

    kind: str
    plugin: str = "alpha"
    at: str = ""
    """``offending_path``, below the application's folder, for the kinds that have one."""
    says: str = ""
    """The text of ``detail``, or of the message for a kind that has none."""
    tree_as_it_is: bool = True
    """``integrity_mismatch``: whether ``actual`` is the digest of the tree on disk."""
    raised: str = "PluginImportRefused"
    within: str = ""
    """The exception that reaches the script, where the caller of the import wraps the refusal."""
    status: int = 1
    """The exit status of the process."""

    def __str__(self) -> str:
        return f"refused [{self.kind}]"


@dataclass(frozen=True)
class NotThere:
    """``ModuleNotFoundError``: the plugin passed, and its verified tree has no such module."""

    module: str

    def __str__(self) -> str:
        return "refused (the module is not there)"


@dataclass(frozen=True)
class Ignored:
    """Nothing is raised: verified code ran where the payload should have."""

    ran: str = "plugins.alpha.helper"

    def __str__(self) -> str:
        return "refused (the verified code ran)"


@dataclass(frozen=True)
class Closed:
    """A plain ``ImportError``: the guard cannot work here, so nothing is imported. Or another
    exception, where it is not an import that is refused."""

    says: str
    raised: str = "ImportError"

    def __str__(self) -> str:
        if self.raised == "ImportError":
            return "refused (nothing is imported)"
        return f"refused ({self.raised})"


Expected = Refused | NotThere | Ignored | Closed


@dataclass(frozen=True)
class Need:
    """A capability of the machine that an attack needs."""

    what: str
    available: bool


NOTHING = Need("nothing", True)


def untouched(application: Application) -> None:
    """Leave the application as it is: the script itself does the harm."""


@dataclass(frozen=True)
class Attack:
    """A way to make unlocked plugin code run.

    It runs twice, each time in an application folder and an interpreter of its own. Without the
    guard the payload must run, or nothing is attacked; with it, it must not.
    """

    name: str
    """``group/attack``."""
    does: str
    """In one sentence."""
    expected: Expected
    script: str = IMPORT
    prepare: Callable[[Application], None] = untouched
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of ``guard.install``. With ``trust``, the first run is under the guard without a
    policy."""
    pinned: bool = False
    """True if the settings are pinned, as an activation file pins them."""
    repaired: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the import that must work again, where those of the attack refuse each."""
    folders: tuple[Mapping[str, object], ...] = ()
    """Arguments of ``guard.add``, for each further folder."""
    arguments: tuple[str, ...] = ()
    """The interpreter's arguments in place of the script; a ``sitecustomize`` has the guard then."""
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    restore: Callable[[Application], None] = untouched
    """Completes the repair of the folder, before the import that must work again."""
    lock: str = "plugins/PLUGINS.lock"
    """The lock that counts, below the application's folder."""
    needs: Need = NOTHING
    seconds: int = 60
    """After which an interpreter counts as hung."""

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]
