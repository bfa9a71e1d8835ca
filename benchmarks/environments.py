"""Virtual environments to measure in: codegenie and nothing else, so that a start loads no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import codegenie

# What no guard can do without: a file that `site` runs, a package, a module in it, a finder and an
# audit hook. Loaded as the activation file loads the guard, and with nothing in them.
EMPTY_SITECUSTOMIZE = """
import _frozen_importlib
import os
import sys
from _frozen_importlib_external import spec_from_file_location

for name, file in ("empty", "__init__.py"), ("empty._start", "_start.py"):
    path = f"{os.path.dirname(__file__)}/empty/{file}"
    _frozen_importlib._load(spec_from_file_location(name, path))
"""
EMPTY_START = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        return None

def hook(event, args):
    pass

sys.addaudithook(hook)
sys.meta_path.insert(0, Finder())
"""


def environment(folder: Path) -> str:
    """Make one; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = str(folder / "bin" / "python")
    shutil.copytree(codegenie.__path__[0], purelib(python) / "codegenie")
    return python


def purelib(python: str) -> Path:
    """Where an environment has its packages."""
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(found.stdout.strip())


def empty_environment(folder: Path) -> str:
    """Make one with a guard that does nothing: the floor of one that does; its interpreter."""
    python = environment(folder / "empty")
    package = purelib(python) / "empty"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_start.py").write_text(EMPTY_START)
    (package.parent / "sitecustomize.py").write_text(EMPTY_SITECUSTOMIZE)
    return python


def guarded_environment(folder: Path) -> str:
    """Make one in which ``codegenie guard install`` has activated the guard, for a plugin folder
    that holds no plugin; its interpreter."""
    python = environment(folder / "guarded")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "PLUGINS.lock").write_text("{}\n")
    install = [sys.executable, "-m", "codegenie", "guard", "install"]
    subprocess.run(
        [*install, "--root", plugins, "--python", python], check=True, capture_output=True
    )
    return python
