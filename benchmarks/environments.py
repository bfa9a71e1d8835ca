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
