"""Find out if a folder contains the interpreter that is to be guarded, or its environment.

Code of a guarded folder runs only if the lock pins it. A root that contains ``site-packages`` would
refuse every dependency, ``pip``, and the command that undoes the installation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def first_held(root: str, places: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name and path of the first of ``places`` that is ``root`` or is below it.

    Folders are compared by device and inode, because either side may be spelled through links.
    """
    identity = _identity(Path(root))
    if identity is None:
        return None  # a folder that does not exist contains nothing
    for name, path in places.items():
        if path and any(_identity(folder) == identity for folder in _folders_above(Path(path))):
            return name, path
    return None


def _folders_above(path: Path) -> Iterator[Path]:
    """Yield ``path`` and the folders above it, as it is spelled and with its links resolved."""
    for spelled in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):  # noqa: PTH100
        yield spelled
        yield from spelled.parents


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
