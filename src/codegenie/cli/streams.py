"""Provide standard streams to a command, even if the parent process has closed them.

The status of a command must not depend on the reader of its output. Cron and daemons start commands
with closed streams, and ``head`` closes the pipe after its last line.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

STANDARD_DESCRIPTORS = (0, 1, 2)


class _Output(io.FileIO):
    """A descriptor whose reader may close the pipe. Later output is discarded."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            _discard(self.fileno())
            return len(memoryview(data).cast("B"))


def prepare() -> None:
    """Open closed streams to the null device, and ignore a closed pipe."""
    _occupy_closed_descriptors()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stdout = _stream(sys.stdout, 1)
    sys.stderr = _stream(sys.stderr, 2)


def output_to(descriptor: int, like: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return a text stream to a descriptor, with the encoding of another stream."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor, "w", closefd=False)),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=like.line_buffering,
    )


def _occupy_closed_descriptors() -> None:
    """Prevent a file that the command opens from becoming a standard stream.

    Native code writes its messages to descriptor 2, even if that is another file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) in STANDARD_DESCRIPTORS:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _stream(present: Any, descriptor: int) -> io.TextIOWrapper:
    if present is None:
        like = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
        return output_to(descriptor, like)
    if not isinstance(present, io.TextIOWrapper):
        return present  # type: ignore[no-any-return]  # a test has replaced it
    present.flush()
    return output_to(present.fileno(), present)


def _discard(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
