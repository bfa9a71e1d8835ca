"""Describe a host: what it is, where it loads plugins from, and what proves that one ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements"

MARK = "import os\nwith open(os.environ['WITNESS'], 'a') as file:\n    file.write('INTACT\\n')\n"
"""The first lines of a plugin. Each change of a plugin writes another word."""


REFUSED_STATUS = 4
"""The status of a process that ends by ``--on-refusal exit``."""

EXIT_LINE = "codegenie: plugin '…' is refused, so this process ends; run: codegenie plugins diff …"
"""The last line of that process."""

SITE = "site-packages"
"""Stands for the environment's own folder of that name."""


@dataclass(frozen=True)
class Folder:
    """A guarded folder of a host's layout, relative to the application."""

    root: str
    """Below the application; ``SITE`` for the environment's ``site-packages``."""
    package: str | None = None
    """The names that the guard decides. ``None``: the host loads by path."""
    distribution: str = ""
    """The installed distribution that is guarded, in a folder that is shared with others."""


@dataclass(frozen=True)
class Layout:
    """One way in which a host documents where its plugins are."""

    name: str
    mechanism: str
    """The call by which the host loads the module."""
    folders: tuple[Folder, ...]
    main: str
    """The plugin's file that begins with ``MARK``."""
    files: Mapping[str, str]
    command: tuple[str, ...]
    """``{bin}`` is the folder of the environment's programs, ``{app}`` the application."""
    added: str
    """A file to add that the lock does not cover."""
    second: str
    """The same plugin in a folder that is earlier on ``sys.path``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    input: str = ""
    reads_bytecode: bool = True
    """True if the host executes cached bytecode of a plugin, without the guard."""
    second_runs: tuple[str, ...] = ("INTACT",)
    """The plugins that run without the guard if there is a second package of that name."""
    second_runs_guarded: tuple[str, ...] = ("INTACT",)
    """The same with the guard."""
    exit_status: int = REFUSED_STATUS
    """The status of the host where ``--on-refusal exit`` ends a process of it."""
    exit_line: str = EXIT_LINE
    """The last line that a person sees then. ``…`` matches any text."""

    def outcome(self, state: str) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
        """Return what must run without the guard and with it, and the kinds that it refuses."""
        intact = ("INTACT",)
        if state == "changed byte":
            return ("CHANGED",), (), ["integrity_mismatch"]
        if state == "added file":
            is_unit = str(Path(self.added).parent) in {folder.root for folder in self.folders}
            return intact, (), ["unlocked_plugin" if is_unit else "integrity_mismatch"]
        if state == "planted bytecode":
            return ("BYTECODE",) if self.reads_bytecode else intact, intact, []
        if state == "second package":
            return self.second_runs, self.second_runs_guarded, []
        return intact, intact, []


@dataclass(frozen=True)
class Host:
    """A program that loads plugins, in an environment of its own."""

    title: str
    distribution: str
    """The name on the index; empty for a host of these tests."""
    layouts: tuple[Layout, ...]
    python: str = ""
    """The version that the host needs; empty for that of the tests."""
    is_light: bool = False
    """True if its tests are part of every run."""

    @property
    def name(self) -> str:
        """Return the name of the environment, and on the command line."""
        return self.title.lower().replace(" ", "-").replace("'", "")

    @property
    def requirements(self) -> Path | None:
        """Return the file that pins the environment; None if the host needs nothing."""
        return REQUIREMENTS / f"hosts-{self.name}.txt" if self.distribution else None

    @property
    def version(self) -> str:
        """Return the version that is pinned; empty for a host of these tests."""
        if self.requirements is None:
            return ""
        (line,) = (
            line
            for line in self.requirements.read_text().lower().splitlines()
            if line.startswith(f"{self.distribution.lower()}==")
        )
        return line.partition("==")[2].partition(" ")[0]
