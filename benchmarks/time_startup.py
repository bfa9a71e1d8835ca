"""Starting an interpreter: bare, with the guard imported, and with the guard activated."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired

PAIRS = 60


def main() -> None:
    """Print and save the figures of this Python."""
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(Path(temporary))
    print(f"start-up, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
    for name, value in figures.items():
        shown = value.as_dict()
        print(
            f"  {name:<34} {shown['median_difference_ms']:>+7.3f} ms over bare "
            f"({shown['median_b_ms']:.1f} ms), ratio {shown['median_ratio']:.3f}"
        )
    paired.save("startup", {name: value.as_dict() for name, value in figures.items()})


def measure(folder: Path) -> dict[str, paired.Figures]:
    """Each way of being guarded, against a start without; the last row is the noise."""
    bare, guarded = _environment(folder / "bare"), _environment(folder / "guarded")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "PLUGINS.lock").write_text("{}\n")
    install = [sys.executable, "-m", "codegenie", "guard", "install"]
    subprocess.run(
        [*install, "--root", plugins, "--python", guarded], check=True, capture_output=True
    )
    nothing = [bare, "-c", "pass"]
    return {
        "import codegenie.plugins.guard": paired.processes(
            [bare, "-c", "import codegenie.plugins.guard"], nothing, pairs=PAIRS
        ),
        "activated by codegenie guard install": paired.processes(
            [guarded, "-c", "pass"], nothing, pairs=PAIRS
        ),
        "nothing (the noise)": paired.processes(nothing, nothing, pairs=PAIRS),
    }


def _environment(folder: Path) -> str:
    """A virtual environment that has codegenie and nothing else; its interpreter."""
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


if __name__ == "__main__":
    main()
