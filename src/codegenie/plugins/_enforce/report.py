"""One log record and one audit event per decision, and one line in the event log if there is one.

Logger ``codegenie.plugins``; audit events ``codegenie.plugins.verified`` (plugin, digest),
``codegenie.plugins.refused`` (plugin, kind, module) and ``codegenie.plugins.displaced`` (by what).
"""

import sys

from codegenie.plugins._enforce import explanation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger

    from codegenie.plugins._enforce.event_log import EventLog
    from codegenie.plugins._enforce.refusal import Refusal

LOGGER = "codegenie.plugins"
VERIFIED = "codegenie.plugins.verified"
REFUSED = "codegenie.plugins.refused"
DISPLACED = "codegenie.plugins.displaced"


_WARNING, _ERROR = 30, 40
"""``logging.WARNING`` and ``logging.ERROR``."""

_event_log: "list[EventLog]" = []
"""Where events go: one, or none. Set once, when the set-up is resolved."""


def prepare(*, scope: str, mode: str, log: str) -> None:
    """Open the event log, and load what reports and explains a refusal where ``find_spec`` may have
    to do so.

    ``find_spec`` runs under the global import lock (``_find_spec`` in
    ``Lib/importlib/_bootstrap.py``). An import there waits for any thread that is importing the
    same module, and that thread waits for the import lock. Nothing is imported there, ever.
    """
    if scope == "plugin" or mode == "audit":
        import logging  # noqa: F401

        from codegenie.plugins._enforce import differences, sidecar  # noqa: F401
    if log:
        from codegenie.plugins._enforce.event_log import EventLog

        _event_log[:] = [EventLog(log)]


def verified(plugin: str, digest: str) -> None:
    sys.audit(VERIFIED, plugin, digest)
    for log in _event_log:
        log.write("verified", plugin=plugin, digest=digest)
    logger = _listening()
    if logger is not None:
        logger.info(
            "plugin %r verified: %s", plugin, digest, extra={"plugin": plugin, "digest": digest}
        )


def refused(refusal: "Refusal", module: str, *, audit_only: bool) -> None:
    """Report a refusal. The record's ``rejection`` is the plain one, not the model: pydantic cannot
    be imported everywhere, least of all under the import lock."""
    sys.audit(REFUSED, refusal.plugin, refusal.kind, module)
    for log in _event_log:
        log.refused("would_refuse" if audit_only else "refused", refusal, module)
    try:
        import logging  # noqa: F401  # so that a refusal is seen where nobody has set up logging
    except ImportError:
        pass  # somebody emptied sys.meta_path: it is refused all the same
    logger = _listening()
    level, verb = (_WARNING, "would refuse") if audit_only else (_ERROR, "refused")
    if logger is None or not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "%s %s: %s",
        verb,
        module,
        explanation.line(refusal),
        extra={
            "plugin": refusal.plugin,
            "rejection": refusal,
            "explanation": refusal.explanation(),
        },
    )


def displaced(by: str, *, removed: bool) -> None:
    """The guard was not first on ``sys.meta_path``, and is again. To stand before it is what test
    runners do; to remove it is not."""
    sys.audit(DISPLACED, by)
    for log in _event_log:
        log.write("displaced", by=by, removed=removed)
    logger = _listening()
    if logger is not None:
        emit = logger.warning if removed else logger.info
        emit(
            "the guard %s and was put back first on sys.meta_path, before %s",
            "had been removed" if removed else "had been displaced",
            by,
        )


def warning(message: str) -> None:
    """Something about the set-up that an operator should see."""
    import logging

    logging.getLogger(LOGGER).warning("%s", message)


def _listening() -> "Logger | None":
    """The logger, or ``None`` while ``logging`` is not loaded: then nobody can be listening, and
    importing it would cost a process more than the whole guard."""
    logging = sys.modules.get("logging")
    if logging is None or not hasattr(logging, "getLogger"):
        return None
    logger: Logger = logging.getLogger(LOGGER)
    return logger
