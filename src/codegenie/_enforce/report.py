"""Report a unit that passed: one log record, one audit event, and one line in the event log.

Logger ``codegenie.plugins``; audit event ``codegenie.plugins.verified`` (plugin, digest). All other
reports are in ``refusal_report``, which a success does not load.
"""

import sys

from codegenie._start.own_modules import REFUSALS, UNTRUSTED, Late, load_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping  # noqa: F401

    from codegenie._enforce import refusal_report
    from codegenie._enforce.event_log import EventLog
else:
    refusal_report = Late("_enforce.refusal_report")

LOGGER = "codegenie.plugins"
VERIFIED = "codegenie.plugins.verified"

_INFO = 20
"""``logging.INFO``."""

event_log: "list[EventLog]" = []
"""The event log, or nothing. Set once, when the settings are resolved."""


def prepare(*, scope, mode, on_refusal, log, has_policy):
    # type: (str, str, str, str, bool) -> None
    """Open the event log, and load what reports and explains a refusal where that cannot wait.

    With ``on_refusal="exit"`` and in audit mode a refusal must not fail because it is not loaded.
    With ``scope="plugin"`` it is ``find_spec`` that refuses.

    ``find_spec`` runs under the global import lock (``_find_spec`` in
    ``Lib/importlib/_bootstrap.py``). An import there waits for any thread that is importing the
    same module, and that thread waits for the import lock. Nothing is imported there, ever.
    """
    if scope == "plugin" or mode == "audit" or on_refusal == "exit":
        load_all((*REFUSALS, *UNTRUSTED) if has_policy else REFUSALS)
    if scope == "plugin" or mode == "audit":
        from codegenie.integrity import file_list, walk  # noqa: F401

        walk.load_all()
        refusal_report.load_logging()
    if log:
        from codegenie._enforce.event_log import EventLog
        from codegenie.log_target import problem

        if not any(present.target == log for present in event_log):
            event_log[:] = [EventLog(log)]
        found = problem(log)
        if found:
            refusal_report.warning(f"the event log {log} {found}")


def verified(plugin, digest):
    # type: (str, str) -> None
    """Report a plugin that passed. An audit hook that raises vetoes it."""
    sys.audit(VERIFIED, plugin, digest)
    for log in event_log:
        log.write("verified", plugin=plugin, digest=digest)
    extra = {"plugin": plugin, "digest": digest}
    make_record(_INFO, "plugin %r verified: %s", plugin, digest, extra=extra)


def make_record(level, text, *arguments, extra=None):
    # type: (int, str, *object, Mapping[str, object] | None) -> list[str]
    """Make a log record; return why that was not possible.

    While ``logging`` is not loaded there is no handler, and importing it would cost a process more
    than the whole guard.
    """
    logging = sys.modules.get("logging")
    if logging is None or not hasattr(logging, "getLogger"):
        return []
    try:
        logging.getLogger(LOGGER).log(level, text, *arguments, extra=extra)
    except Exception as error:  # a handler, a filter, a logger class of the application
        return [refusal_report.failure("the log record was not made", error)]
    return []
