"""Fill a small disk."""

from __future__ import annotations

from pathlib import Path


def fill(folder: Path) -> Path:
    """Fill the disk to the last byte, with a file that is returned."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 4096
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return ballast
