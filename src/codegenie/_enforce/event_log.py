"""Write ``CODEGENIE_GUARD_LOG``: one line of JSON per decision, for the operator.

Writing a line never fails an import and never waits: a line that cannot be written at once is lost.
The log supplements the logger and the audit events. It is not complete enough to be evidence.
"""

import json
import os
import select
import stat
import sys
import time

from codegenie.log_target import DESCRIPTOR, problem
from codegenie.refusals import explanation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from codegenie.refusals.record import Refusal

MAX_LINE = 4096
"""The bytes of a line, with its line feed. Linux writes so much to a pipe in one piece
(``PIPE_BUF``), so lines of several processes do not mix, and a line fits if ``poll`` allows one."""

_OPEN_FLAGS = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | os.O_CLOEXEC
    | os.O_NOFOLLOW
    | os.O_NONBLOCK
    | os.O_NOCTTY
)

_PIPE_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK

MAX_FILES = 1000
"""The number of file names to try. More names never fit into a line."""


class EventLog:
    """A log in a file, which is opened for each line so it can be rotated, or in a descriptor."""

    __slots__ = ("_descriptor", "_identity", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        self._descriptor = -1
        self._identity: tuple[int, int] | None = None
        if target.startswith(DESCRIPTOR):
            try:
                self._descriptor = int(target.removeprefix(DESCRIPTOR))
                self._identity = _identity(self._descriptor)
            except (ValueError, OSError):
                pass  # it is closed, or not a number: nothing is written

    def refused(self, event: str, refusal: "Refusal", module: str) -> None:
        """Write one refusal.

        The line contains the fields of its model, all files that differ if they are known, and the
        text of the exception as fields.
        """
        differing = refusal.differences
        too_many = differing is not None and len(differing) > MAX_FILES
        if too_many:
            differing = None
        self.write(
            event,
            **({"truncated": True} if too_many else {}),
            plugin=refusal.plugin,
            module=module,
            rejection={"kind": refusal.kind, "plugin": refusal.plugin, **refusal.evidence},
            files=differing
            and {
                "changed": differing.changed,
                "added": differing.added,
                "removed": differing.removed,
            },
            explanation=explanation.fields(refusal),
        )

    def write(self, event: str, **fields: object) -> None:
        """Write one line, or drop it if it cannot be written at once."""
        try:
            now = time.time()
            record = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
                + f".{int(now % 1 * 1000):03d}Z",
                "event": event,
                "pid": os.getpid(),
                "executable": sys.executable,
                **fields,
            }
            line = next(filter(_fits, map(_line, _shorter_and_shorter(record))), None)
            if line is not None:
                self._send(line)
        except Exception:  # noqa: S110  # an import must not fail because of its log
            pass

    def _send(self, line: bytes) -> None:
        """Write one line, or drop it if that would block."""
        if not self.target.startswith(DESCRIPTOR):
            _append(self.target, line)
        elif self._identity is not None and _identity(self._descriptor) == self._identity:
            # The descriptor is still the same file: an application may have closed it, and another
            # file may have got its number. Poll first, because a write could block.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if any(mask & select.POLLOUT for _, mask in poll.poll(0)):
                _write_to(self._descriptor, line)


def _append(path: str, line: bytes) -> None:
    """Append to a regular file or a FIFO.

    Threat: an attacker who can write to the folder of the log replaces it with a link, so the
    process would append names of the attacker's choice to any file that it may write. Rule: follow
    no link.
    """
    if problem(path):
        return  # opening a device can have effects
    descriptor = os.open(path, _OPEN_FLAGS, 0o640)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            _write_line(descriptor, line)
    finally:
        os.close(descriptor)


def _write_to(descriptor: int, line: bytes) -> None:
    """Write a line to a descriptor of the application.

    Another thread or process can fill a pipe after the poll. So a pipe is opened once more, to
    write without waiting. The application keeps its own way of writing.
    """
    own = -1
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", _PIPE_FLAGS)
        except OSError:
            pass  # there is no /proc, or this user may not open it
    try:
        _write_line(descriptor if own < 0 else own, line)
    finally:
        if own >= 0:
            os.close(own)


def _write_line(descriptor: int, line: bytes) -> None:
    """Write a line in one call. If the disk is full after a part of the line, blank that part."""
    written = os.write(descriptor, line)
    if written < len(line) and not _blank(descriptor, line[:written]):
        os.write(descriptor, b"\n")


def _blank(descriptor: int, part: bytes) -> bool:
    """Overwrite the part of a line that was written last with blanks. Returns True if it could.

    The next line then begins with blanks, which are JSON. A line feed after the part would need
    room on the disk. Truncating the file could cut lines that other processes have written behind
    the part.
    """
    try:
        start = os.lseek(descriptor, 0, os.SEEK_CUR) - len(part)
        # Open the file again, because with a descriptor that appends, Linux ignores the position.
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # it is no file, or may not be read
    try:
        # Processes that share a descriptor share its position, so the part may be elsewhere.
        if os.pread(own, len(part), start) != part:
            return False
        return os.pwrite(own, b" " * len(part), start) == len(part)
    finally:
        os.close(own)


def _shorter_and_shorter(record: dict[str, object]) -> "Iterator[dict[str, object]]":
    """Yield the record, then shorter and shorter versions of it.

    Threat: names from the disk and from import statements may have any length, so a record may be
    too long for a line. Rule: log the refusal without the long parts.
    """
    yield record
    record = {**record, "truncated": True}
    if record.get("files"):
        # The explanation still names ten files, and `codegenie plugins diff` names all.
        record = {**record, "files": None}
        yield record
    told, rejection = record.get("explanation"), record.get("rejection")
    if isinstance(told, dict):
        yield {**record, "explanation": {**told, "files": [], "more_files": None}}
        record = {**record, "explanation": None}
        yield record
    if isinstance(rejection, dict):
        record = {**record, "rejection": {key: rejection[key] for key in ("kind", "plugin")}}
    # A character takes up to twelve bytes of a line ("\\ud83d\\ude00").
    for length in (200, 50, 20):
        yield _cut(record, length)


def _cut(value: dict[str, object], length: int) -> dict[str, object]:
    """Return the record with each text cut to ``length``, in nested records too."""
    return {
        key: _cut(item, length)
        if isinstance(item, dict)
        else item[:length]
        if isinstance(item, str)
        else item
        for key, item in value.items()
    }


def _fits(line: bytes) -> bool:
    return len(line) <= MAX_LINE


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record, default=str).encode("ascii") + b"\n"


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
