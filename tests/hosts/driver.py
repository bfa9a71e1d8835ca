"""Run a host with its plugin in each state, with the guard and without."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import codegenie
from codegenie.activation import files
from tests.docs.blocks import matches
from tests.fixtures.environments import copy_codegenie
from tests.fixtures.trees import clean_environment
from tests.hosts.host import EXIT_LINE, SITE, Folder, Host, Layout

STATES = ("intact", "changed byte", "added file", "planted bytecode", "second package")
LINES, COLUMNS = 20, 80
"""The terminal that the last text of a process fits."""

SECONDS = 300

WORDS = {
    "changed byte": "CHANGED",
    "planted bytecode": "BYTECODE",
    "second package": "SECOND",
}
"""The word that a plugin in this state writes, where an intact one writes INTACT."""

NAMES = {word: state for state, word in WORDS.items()}

PLANT = """
import importlib.util, marshal, os, sys
path, source = sys.argv[1:]
cache = importlib.util.cache_from_source(path)
os.makedirs(os.path.dirname(cache), exist_ok=True)
with open(cache, 'wb') as file:
    code = compile(source, path, 'exec', dont_inherit=True)
    file.write(importlib.util.MAGIC_NUMBER + b'\\1\\0\\0\\0' + bytes(8) + marshal.dumps(code))
"""


class Environment:
    """The environment of one host, which is kept while its requirements are the same."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.folder = folder.resolve() / host.name
        self.bin = self.folder / "bin"
        self.python = str(self.bin / "python")
        pinned = host.requirements
        stamp = self.folder / "requirements.sha256"
        state = hashlib.sha256(pinned.read_bytes() if pinned else b"").hexdigest()
        if not stamp.exists() or stamp.read_text() != state:
            self._make(host, pinned)
            stamp.write_text(state)
        (self.site,) = (self.folder / "lib").glob("python*/site-packages")
        shutil.rmtree(self.site / "codegenie", ignore_errors=True)
        copy_codegenie(self.site)
        self.deactivate()

    def _make(self, host: Host, pinned: Path | None) -> None:
        python = shutil.which(f"python{host.python}") if host.python else sys.executable
        if python is None:
            raise RuntimeError(f"{host.name} needs Python {host.python}")
        options = ["--clear"] if pinned else ["--clear", "--without-pip"]
        command = [python, "-m", "venv", *options, str(self.folder)]
        subprocess.run(command, check=True, env=clean_environment())
        if pinned is not None:
            install = ["-m", "pip", "install", "-q", "--require-hashes", "--no-deps"]
            subprocess.run([self.python, *install, "-r", str(pinned)], check=True)

    def activate(self, application: Path, layout: Layout, log: Path, on_refusal: str) -> None:
        """Pin the guard for every start of this environment, as ``codegenie guard install``."""
        self.deactivate()
        settings = {
            "folders": [self._settings_of(application, folder) for folder in layout.folders],
            "scope": "all",
            "mode": "enforce",
            "on_refusal": on_refusal,
            "log": str(log),
        }
        plan = files.plan(
            self.site, str(self.site), codegenie.__version__, settings, sitecustomize=True
        )
        files.write_plan(plan)

    def deactivate(self) -> None:
        """Start the next programs without the guard."""
        files.remove(self.site)

    def _settings_of(self, application: Path, folder: Folder) -> dict[str, object]:
        root = self.path_of(application, folder.root)
        if not folder.distribution:
            lock, others = root / "PLUGINS.lock", "refuse"
        else:
            lock, others = application / "PLUGINS.lock", "leave"
        settings: dict[str, object] = {
            "root": str(root),
            "lock": str(lock),
            "package": folder.package,
            "others": others,
        }
        if folder.package == "":
            settings["names"] = sorted(
                {name.partition(".")[0] for name in json.loads(lock.read_text())}
            )
        return settings

    def path_of(self, application: Path, relative: str) -> Path:
        """Return a path of a layout: in the application, or in ``site-packages``."""
        if Path(relative).parts[0] == SITE:
            return self.site.joinpath(*Path(relative).parts[1:])
        return application / relative


@dataclass(frozen=True)
class Outcome:
    """The result of one run of a host."""

    ran: tuple[str, ...]
    """The words that plugins wrote, each once."""
    refused: tuple[tuple[str, str], ...]
    """Kind and plugin of each refusal that the guard logged, each once."""
    status: int
    output: str
    """Both streams, in the order of a terminal."""

    @property
    def kinds(self) -> set[str]:
        """Return the kinds of the refusals."""
        return {kind for kind, _ in self.refused}

    def __str__(self) -> str:
        shown = ["runs" if word == "INTACT" else f"**{NAMES[word]} runs**" for word in self.ran]
        shown += [f"refused: `{kind}`" for kind in sorted(self.kinds)]
        return ", ".join(shown) or "does not run"

    @property
    def lines(self) -> list[str]:
        """Return the lines of the output that are not empty."""
        return [line for line in self.output.splitlines() if line.strip()]

    def problem_of_exit(self, layout: Layout) -> str | None:
        """Return how the end of a run with ``--on-refusal exit`` differs from the expected one."""
        last = self.lines[-1] if self.lines else ""
        if self.ran or sorted(self.kinds) != ["integrity_mismatch"]:
            return f"ran {self.ran}, refused {self.refused}"
        if self.status != layout.exit_status or not matches(layout.exit_line, last):
            return f"status {self.status}, last line {last!r}"
        if layout.exit_line != EXIT_LINE:
            return None
        begin = len(self.lines) - 1 - self.lines[::-1].index("Traceback (most recent call last):")
        end = self.lines[begin:]
        rows = sum(math.ceil(len(line) / COLUMNS) for line in end)
        frames = [line for line in end if line.startswith('  File "')]
        if rows > LINES or not frames or any("/codegenie/" in line for line in frames):
            return f"{rows} rows, frames {frames}"
        return None


def run(
    environment: Environment,
    layout: Layout,
    state: str,
    folder: Path,
    *,
    guarded: bool,
    on_refusal: str = "raise",
) -> Outcome:
    """Lay the plugin out, lock it, bring it into a state, and start the host once."""
    application = folder / "application"
    application.mkdir(parents=True)
    log, witness = folder / "guard.log", folder / "witness"
    places = {str(application): "/srv/app", str(environment.folder): "/srv/env"}
    try:
        lay_out(environment, layout, application)
        if guarded:
            for each in layout.folders:
                lock(environment, application, each)
            environment.activate(application, layout, log, on_refusal)
        variables = spoil(environment, layout, state, application)
        variables = {**variables, "WITNESS": str(witness)}
        outcome = start(environment, layout, application, variables, log)
        return replace(outcome, output=_filled(outcome.output, places))
    finally:
        environment.deactivate()
        for relative in layout.files:
            if relative.startswith(f"{SITE}/"):
                shutil.rmtree(environment.path_of(application, relative).parent, True)


def run_to_exit(environment: Environment, layout: Layout, folder: Path) -> Outcome:
    """Start the host with a changed byte, where ``--on-refusal exit`` ends its process."""
    return run(
        environment, layout, "changed byte", folder / "exit", guarded=True, on_refusal="exit"
    )


def lay_out(environment: Environment, layout: Layout, application: Path) -> None:
    """Write the files of the layout."""
    for relative, text in layout.files.items():
        path = environment.path_of(application, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def lock(environment: Environment, application: Path, folder: Folder) -> None:
    """Pin the folder as it is, or the distribution in it, by the command."""
    root = environment.path_of(application, folder.root)
    command = [sys.executable, "-m", "codegenie", "plugins", "lock", str(root)]
    if folder.distribution:
        command += ["--dist", folder.distribution, "--lock", str(application / "PLUGINS.lock")]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stderr


def spoil(
    environment: Environment, layout: Layout, state: str, application: Path
) -> Mapping[str, str]:
    """Bring the plugin into a state; return variables that the state needs."""
    main = environment.path_of(application, layout.main)
    other = layout.files[layout.main].replace("INTACT", WORDS.get(state, ""))
    if state == "changed byte":
        main.write_text(other)
    elif state == "added file":
        environment.path_of(application, layout.added).write_text("")
    elif state == "planted bytecode":
        command = [environment.python, "-c", PLANT, str(main), other]
        subprocess.run(command, check=True, env=clean_environment())
    elif state == "second package":
        second = application / "second" / layout.second
        shutil.copytree(main.parent, second.parent, ignore=shutil.ignore_patterns("PLUGINS.*"))
        (second.parent / main.name).unlink()
        second.write_text(other)
        for parent in second.relative_to(application / "second").parents:
            package = application / "second" / parent / "__init__.py"
            if parent != Path() and not package.exists():
                package.write_text("")
        return {"PYTHONPATH": str(application / "second")}
    return {}


def start(
    environment: Environment,
    layout: Layout,
    application: Path,
    variables: Mapping[str, str],
    log: Path,
) -> Outcome:
    """Start the host in the application's folder."""
    places = {"{bin}": str(environment.bin), "{app}": str(application)}
    command = [_filled(part, places) for part in layout.command]
    own = {name: _filled(value, places) for name, value in layout.environment.items()}
    done = subprocess.run(
        command,
        cwd=application,
        env={**clean_environment(), "HOME": str(application), **own, **variables},
        input=layout.input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    witness = Path(variables["WITNESS"])
    words = witness.read_text().split() if witness.exists() else []
    lines = log.read_text().splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines]
    refused = [
        (event["rejection"]["kind"], event["plugin"])
        for event in events
        if event["event"] == "refused"
    ]
    return Outcome(
        tuple(sorted(set(words))),
        tuple(sorted(set(refused))),
        done.returncode,
        done.stdout,
    )


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(name, value)
    return text
