"""Virtual environments to measure in: codegenie and nothing else, so that a start loads no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def environment(folder: Path) -> str:
    """Make one; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = str(folder / "bin" / "python")
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    import codegenie

    shutil.copytree(codegenie.__path__[0], Path(purelib, "codegenie"))
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
