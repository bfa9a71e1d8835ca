"""The exceptions of the guard. Programs import them from ``codegenie.plugins.errors``."""

from codegenie.refusals import explanation
from codegenie.refusals.explanation import FILES_IN_A_TRACEBACK, MAX_LISTED_FILES
from codegenie.text import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie.plugins.errors import PluginRejected
    from codegenie.refusals.record import Refusal

# The exceptions show their public home in tracebacks, which is where programs import them from.
_PUBLIC_HOME = "codegenie.plugins.errors"


def _help(name: str) -> str:
    return f"  help      {explanation.help_command(name)}"


class PluginImportRefused(ImportError):
    """A guarded import was refused. Never a ``ModuleNotFoundError``: the module may well be there.

    ``name`` is the module that the program imports, ``path`` the folder or file that is at fault,
    ``refusal`` the plain record and ``rejection`` its model (rules 4.4 and 4.5).

    Example:
        try:
            from plugins.greeter import api
        except PluginImportRefused as refused:
            log.error("%s: %s", refused.rejection.kind, refused)
            raise
    """

    __module__ = _PUBLIC_HOME
    refusal: "Refusal"

    def __init__(self, refusal: "Refusal", name: str | None = None) -> None:
        super().__init__(
            f"the plugin guard refused to import {shortened(repr(name or refusal.plugin))}\n"
            f"{refusal.explanation(most_files=FILES_IN_A_TRACEBACK)}",
            name=name,
            path=refusal.location,
        )
        self.refusal = refusal

    @property
    def rejection(self) -> "PluginRejected":
        """The rejection as a frozen model.

        Raises:
            ImportError: pydantic cannot be imported here; ``refusal`` holds the same evidence.
        """
        return self.refusal.model()

    def __reduce__(self) -> "tuple[type[PluginImportRefused], tuple[Refusal, str | None]]":
        return (type(self), (self.refusal, self.name))


class GuardTooLate(ImportError):
    """The guard was switched on after plugin code had been loaded without it (rule 6.4).

    ``modules`` names the modules. The guard installs nothing, because code that ran unverified
    may have changed anything in the process.
    """

    __module__ = _PUBLIC_HOME

    def __init__(self, modules: "Sequence[str]") -> None:
        self.modules = tuple(modules)
        listed = ", ".join(map(shortened, self.modules[:MAX_LISTED_FILES]))
        more = len(self.modules) - MAX_LISTED_FILES
        super().__init__(
            f"the plugin guard was not installed: loaded without it: {listed}"
            f"{f' and {more} more' if more > 0 else ''}\n"
            "  fix       call codegenie.plugins.guard.install() before anything that imports "
            f"{shortened(repr(self.modules[0]))}\n"
            f"{_help('guard_too_late')}",
            name=self.modules[0],
        )

    def __reduce__(self) -> "tuple[type[GuardTooLate], tuple[tuple[str, ...]]]":
        return (type(self), (self.modules,))


class GuardSettled(RuntimeError):
    """``install()`` asked for another set-up than the one that is pinned, or was decided by.

    ``setting`` names the setting, ``present`` is its value and ``requested`` the other one.
    ``pinned`` is True if an activation file has set it (rule 6.6).
    """

    __module__ = _PUBLIC_HOME

    def __init__(
        self, setting: str, present: object, requested: object, pinned: bool = False
    ) -> None:
        self.setting = setting
        self.present = present
        self.requested = requested
        self.pinned = pinned
        why, instead = (
            ("is pinned to", "is set by: codegenie guard install")
            if pinned
            else ("has already decided with", "must be set before the first import of a plugin")
        )
        super().__init__(
            f"the guard {why} {setting}={present!r} and keeps it for this process; "
            f"{setting}={requested!r} {instead}\n"
            f"{_help('guard_settled')}"
        )

    def __reduce__(self) -> "tuple[type[GuardSettled], tuple[str, object, object, bool]]":
        return (type(self), (self.setting, self.present, self.requested, self.pinned))


class GuardNotEnforcing(RuntimeError):
    """``require()`` found no enforcing guard whose set-up is pinned (rule 7.5).

    ``detail`` says what is missing.
    """

    __module__ = _PUBLIC_HOME

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(
            f"plugins are not guarded as this application requires: {detail}\n"
            "  fix       codegenie guard install --root ROOT, with the folder of the plugins\n"
            "  see       codegenie guard status\n"
            f"{_help('guard_not_enforcing')}"
        )

    def __reduce__(self) -> "tuple[type[GuardNotEnforcing], tuple[str]]":
        return (type(self), (self.detail,))
