"""Build what is released, into one folder: sdist, wheel, bill of materials, checksums.

    python scripts/release.py [FOLDER]

FOLDER, by default ``dist``, is made anew; one that holds something, and no release, is refused.
The environment needs ``requirements/release.txt``.
The same commit gives the same bytes: neither the time, the place, the umask nor what else lies in
the checkout counts. (The version of zlib does: it compresses.) ``SOURCE_DATE_EPOCH`` dates the
entries of the archives, and the bill of materials; without it the builder's fixed date does, and
the bill has none.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RUNTIME = REPOSITORY / "requirements" / "runtime.txt"
CHECKSUMS = "SHA256SUMS"


def run(*command: str | Path) -> None:
    """Run a module of this environment."""
    subprocess.run([sys.executable, "-m", *command], check=True)


def build(folder: Path) -> str:
    """The sdist, and the wheel from that very sdist. Returns the version."""
    # Without isolation: the builder is the pinned one that is installed here.
    run("build", "--no-isolation", "--outdir", folder, REPOSITORY)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist.name.removeprefix("codegenie-").removesuffix(".tar.gz")


def install_dependencies(environment: Path) -> None:
    """Make an environment with what the package needs to run, and nothing else."""
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    install = ("install", "-q", "--require-hashes", "-r", RUNTIME)
    run("pip", "--python", python, *install)


def bill_of_materials(environment: Path, version: str, file: Path) -> None:
    """What an environment holds, as CycloneDX, validated against its schema by the tool."""
    project = (REPOSITORY / "pyproject.toml").read_text()
    # The tool does not ask the builder for the version.
    project, count = re.subn(
        r'^dynamic = \["version"\]$', f'version = "{version}"', project, flags=re.MULTILINE
    )
    if count != 1:
        raise SystemExit("pyproject.toml does not take its version from the package any more")
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "pyproject.toml")
        described.write_text(project)
        options = ("--output-reproducible", "--validate", "--output-format", "JSON")
        what = ("--mc-type", "library", "--pyproject", described)
        run("cyclonedx_py", "environment", environment, *options, *what, "--output-file", file)


def checksums(folder: Path) -> None:
    """As ``sha256sum -c`` reads them."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / CHECKSUMS).write_text("".join(lines))


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something, and no release."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise SystemExit(f"{folder} is not a folder")
    elif any(folder.iterdir()) and not (folder / CHECKSUMS).is_file():
        raise SystemExit(f"{folder} is not empty and holds no {CHECKSUMS}: it is left as it is")


def release(folder: Path) -> None:
    """Make everything, and only then put it in the place of what is there."""
    require_replaceable(folder)
    with tempfile.TemporaryDirectory() as scratch:
        made, environment = Path(scratch, "made"), Path(scratch, "environment")
        made.mkdir()
        version = build(made)
        install_dependencies(environment)
        bill_of_materials(environment, version, made / f"codegenie-{version}.cdx.json")
        checksums(made)
        if folder.is_dir():
            shutil.rmtree(folder.resolve())
        shutil.copytree(made, folder.resolve())


def main(arguments: list[str]) -> None:
    """What the command line asks for."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        raise SystemExit("usage: python scripts/release.py [FOLDER]")
    release(Path(arguments[0]) if arguments else REPOSITORY / "dist")


if __name__ == "__main__":
    main(sys.argv[1:])
