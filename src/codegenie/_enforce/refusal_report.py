"""Report a refusal, a displaced guard, or a problem with the settings.

Each is one log record (logger ``codegenie.plugins``), one audit event, and one line in the event
log if there is one. Audit events: ``codegenie.plugins.refused`` (plugin, kind, module) and
``codegenie.plugins.displaced`` (by what).
"""

import sys

from codegenie import text as words
from codegenie._enforce.report import LOGGER, event_log, make_record
from codegenie.refusals import explanation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import TextIO

    from codegenie.refusals.record import Refusal

REFUSED = "codegenie.plugins.refused"
DISPLACED = "codegenie.plugins.displaced"

_TERMINAL_LINES, _TERMINAL_COLUMNS = 20, 80
"""The text of a refusal that ends the process fits into this."""

_INFO, _WARNING, _ERROR = 20, 30, 40
"""``logging.INFO``, ``logging.WARNING`` and ``logging.ERROR``."""

_logging_errors: list[str] = []
"""Why ``logging`` could not be imported, once that was tried in ``load_logging``."""


def refused(refusal: "Refusal", module: str, *, audit_only: bool) -> list[str]:
    """Report a refusal, as an audit event, a line of the event log and a log record.

    An audit hook, a log handler or a ``logging`` that fails is the application's, and must not
    replace the refusal, or cause one in audit mode. Only exceptions that are not an ``Exception``,
    a ``KeyboardInterrupt`` for instance, pass. The record's ``rejection`` is the plain one, because
    pydantic cannot be imported everywhere, least of all under the import lock.

    Returns:
        The failures, one sentence each.
    """
    failures = _audit(REFUSED, refusal.plugin, refusal.kind, module)
    for log in event_log:
        log.refused("would_refuse" if audit_only else "refused", refusal, module)
    if audit_only:
        # Load logging, so a report is visible even if the application has not set it up.
        failures += _logging_errors or _load_logging()
    elif not _is_logging_configured():
        return failures  # the exception has the same text, and logging would print it again
    level, verb = (_WARNING, "would refuse") if audit_only else (_ERROR, "refused")
    try:
        extra = {
            "plugin": refusal.plugin,
            "rejection": refusal,
            "explanation": refusal.explanation(),
        }
        text = explanation.line(refusal)
    except Exception as error:
        return [*failures, failure("the refusal cannot be explained", error)]
    name = words.shortened(module)
    return failures + make_record(level, "%s %s: %s", verb, name, text, extra=extra)


def say_last(text: str, last_line: str) -> None:
    """Print a refusal that ends the process, with the frames of the application that led to it.

    A host may have replaced ``sys.stderr``, for example while it shows a screen of its own, and the
    text that it collects is lost. So the text is also written to the standard error that the
    process was started with. Output that the host has buffered comes first.
    """
    # The last line has the command of that row.
    lines = [line for line in text.splitlines() if not line.startswith("  review ")] + [last_line]
    room = _TERMINAL_LINES - sum(map(_rows, lines))
    message = "\n".join([*_application_frames(room), *lines, ""])
    _write(getattr(sys, "stdout", None), "")
    replaced, own = getattr(sys, "stderr", None), sys.__stderr__
    _write(replaced, message)
    if replaced is not own and _descriptor(replaced) != _descriptor(own):
        _write(own, message)


def _application_frames(room: int) -> list[str]:
    """Return the innermost frames of the application like a traceback, as many as fit.

    Frames of the guard and of the standard library only lead from the application to a refusal. The
    innermost frame is always returned, because it names the line of the host that loads the plugin.
    """
    found: list[str] = []
    room -= 1  # the first line
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        if name != "codegenie" and name not in sys.stdlib_module_names:
            code = frame.f_code
            path = words.shortened(code.co_filename)
            line = f'  File "{path}", line {frame.f_lineno}, in {words.shortened(code.co_name)}'
            room -= _rows(line)
            if found and room < 0:
                break
            found.append(line)
        frame = frame.f_back
    return ["Traceback (most recent call last):", *reversed(found)] if found else []


def _rows(line: str) -> int:
    """Return how many lines of a terminal a line takes."""
    return max(1, -(-len(line) // _TERMINAL_COLUMNS))


def _descriptor(stream: "TextIO | None") -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except Exception:  # an object of the host, or closed
        return None


def _write(stream: "TextIO | None", text: str) -> None:
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except Exception:  # noqa: S110  # closed, or a pipe without a reader
        pass


def displaced(by: str, *, removed: bool) -> None:
    """Report that the guard was displaced on ``sys.meta_path``, and is first again.

    Test runners insert finders before the guard, so only a removal is a warning. A refusal can
    follow, and a failure here must not replace that refusal.
    """
    _audit(DISPLACED, by)
    for log in event_log:
        log.write("displaced", by=by, removed=removed)
    make_record(
        _WARNING if removed else _INFO,
        "the guard %s and was put back first on sys.meta_path, before %s",
        "had been removed" if removed else "had been displaced",
        words.shortened(by),
    )


def warning(message: str) -> None:
    """Report a problem with the settings to the operator."""
    if not _load_logging():
        make_record(_WARNING, "%s", words.printable(message))


def _audit(event: str, *arguments: object) -> list[str]:
    try:
        sys.audit(event, *arguments)
    except Exception as error:
        return [failure("an audit hook failed", error)]
    return []


def load_logging() -> None:
    """Import ``logging`` for reports from where nothing may be imported (``report.prepare``)."""
    _logging_errors[:] = _load_logging()


def _load_logging() -> list[str]:
    """Import ``logging``; return why that is not possible."""
    try:
        import logging

        if hasattr(sys, "get_lazy_imports"):
            from codegenie._enforce import lazy_imports

            lazy_imports.resolve_own(logging)
    except Exception as error:  # a module of that name on sys.path can raise anything
        return [failure("logging cannot be imported", error)]
    return []


def _is_logging_configured() -> bool:
    """Return True if a handler gets records. Otherwise ``logging`` prints to standard error."""
    logging = sys.modules.get("logging")
    try:
        return bool(logging.getLogger(LOGGER).hasHandlers())  # type: ignore[union-attr]
    except Exception:
        return logging is not None  # a logger of the application's: let it have the record


def failure(what: str, error: BaseException) -> str:
    """Return one printable line, even for an exception that cannot be printed."""
    try:
        detail = f"{type(error).__name__}: {error}".partition("\n")[0]
    except Exception:
        detail = type(error).__name__
    return words.shortened(f"{what}: {detail}")
