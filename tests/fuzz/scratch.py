"""A file of this process, for readers that take a path."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile


@functools.cache
def folder() -> str:
    path = tempfile.mkdtemp(prefix="codegenie-fuzz-")
    atexit.register(shutil.rmtree, path)
    return path


def file_with(name: str, data: bytes) -> str:
    """Write ``data`` where the last input was; returns the path."""
    path = os.path.join(folder(), name)
    # Removed, not truncated: some file systems write a truncated file to the disk at once.
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "xb") as file:
        file.write(data)
    return path
