"""Real packages as plugins: installed from the index by hash, and laid out below ``plugins/``.

A package that imports itself by its own name (``from sqlalchemy import …``) cannot be a plugin as
it is; those names are rewritten to ``plugins.<id>.…``, for plain Python as well: both import the
very same files.
"""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements" / "bench.txt"

MANIFEST = """\
name: {name}
version: "1"
scope: {{task_class: benchmark, languages: "*", build_systems: "*"}}
"""


@dataclass(frozen=True)
class Workload:
    """Packages that become plugins, and the statement that imports what a program would use."""

    name: str
    packages: tuple[str, ...]
    statement: str


WORKLOADS = (
    Workload(
        "sqlalchemy",
        ("sqlalchemy",),
        "import plugins.sqlalchemy, plugins.sqlalchemy.orm",
    ),
    Workload(
        "rich, jinja2, werkzeug",
        ("rich", "jinja2", "werkzeug", "markupsafe"),
        "import plugins.rich.table, plugins.jinja2, plugins.werkzeug.wrappers",
    ),
    Workload("lark", ("lark",), "import plugins.lark"),
    Workload("markupsafe", ("markupsafe",), "import plugins.markupsafe"),
)


@functools.cache
def installed() -> Path:
    """Install every package, once; the folder that holds them, which goes with this process."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    target = Path(folder, "packages")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    subprocess.run(
        [*command, "--require-hashes", "-r", str(REQUIREMENTS), "--target", str(target)],
        check=True,
    )
    return target


def copied(packages: Path, name: str, to: Path) -> None:
    """Copy one package as it was installed: without the bytecode of programs that imported it."""
    shutil.copytree(packages / name, to, ignore=shutil.ignore_patterns("__pycache__"))


def lay_out(workload: Workload, packages: Path, folder: Path) -> Path:
    """A folder with ``plugins/`` in it, locked; nothing is compiled."""
    root = folder / "plugins"
    for package in workload.packages:
        copied(packages, package, root / package)
        (root / package / "plugin.yaml").write_text(MANIFEST.format(name=package))
        for source in (root / package).rglob("*.py"):
            _rename(source, workload.packages)
    codegenie("plugins", "lock", str(root))
    return folder


def _rename(source: Path, packages: tuple[str, ...]) -> None:
    text = source.read_bytes()
    for name in packages:
        own = name.encode()
        text = re.sub(rb"(?m)^(\s*)import " + own + rb"$", rb"\1from plugins import " + own, text)
        text = re.sub(rb"\b(from|import) " + own + rb"\b(?!$)", rb"\1 plugins." + own, text)
        text = text.replace(b"from plugins import plugins.", b"from plugins import ")
        # What SQLAlchemy imports by text.
        text = re.sub(
            rb"([\"'])" + own + rb"\.(sql|orm|engine|dialects|util)",
            rb"\1plugins." + own + rb".\2",
            text,
        )
        text = re.sub(rb"\(\"" + own + rb"\.", b'("plugins.' + own + b".", text)
    source.write_bytes(text)


def codegenie(*arguments: str) -> None:
    """Run the command line; it must succeed."""
    subprocess.run([sys.executable, "-m", "codegenie", *arguments], check=True, capture_output=True)
