"""What is refused and why: a plain record, and the exceptions.

The record is plain so that refusing needs neither pydantic nor ``typing``; its ``kind`` and
evidence are those of the models in ``codegenie.plugins.errors``, which are built when somebody asks
for them. Every refusal is made by one of the functions below, and nowhere else. Its words are those
of ``explanation``.
"""

from codegenie._start import LOCK_NAME, PACKAGE
from codegenie.plugins._enforce import explanation
from codegenie.plugins._enforce.explanation import FILES_IN_A_TRACEBACK, MAX_LISTED_FILES, shortened
from codegenie.plugins._enforce.explanation import printable as printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie.plugins._enforce.differences import Differences, Guess
    from codegenie.plugins.errors import PluginRejected

_LONGEST_TEXT = 5000
"""Characters of a sentence. Two paths of the longest kind fit; a text from elsewhere may not."""

LOCKFILE_PLUGIN = "<lockfile>"
"""Reported as the plugin of a refusal that concerns the lock. Never compared with: a file or folder
of the root may have this name. ``Refusal.is_about_lock`` is the test."""

LOCK_KINDS = frozenset(("lock_file_malformed",))
"""The kinds of refusals that concern the lock, and so every plugin."""


class Refusal:
    """One refusal: its kind, its plugin and its evidence, and what helps a person to act on it.

    The evidence can be read as attributes (``refusal.expected``), as of the model. ``steps`` are
    the commands that help (``diff``, ``lock``), in the order to take them. ``differences`` are the
    files that differ where that is known, ``guess`` those that may; times are in seconds since the
    epoch. ``subject`` says what is at fault, in words that no plugin's name can imitate.
    """

    __slots__ = (
        "differences",
        "evidence",
        "fix",
        "guess",
        "kind",
        "location",
        "lock",
        "lock_written",
        "plugin",
        "reason",
        "root",
        "since",
        "steps",
        "subject",
    )

    def __init__(
        self,
        kind: str,
        plugin: str,
        evidence: dict[str, str],
        *,
        reason: str,
        fix: str,
        steps: tuple[str, ...] = (),
        root: str,
        location: str,
        differences: "Differences | None" = None,
        subject: str = "",
    ) -> None:
        self.kind = kind
        self.plugin = plugin
        self.subject = subject or f"plugin {plugin!r}"
        self.evidence = evidence
        # Names from the disk end up in terminals and logs: none of them may forge a line there.
        self.reason = shortened(reason, _LONGEST_TEXT)
        self.fix = shortened(fix, _LONGEST_TEXT)
        self.steps = steps
        self.root = root
        self.location = location
        self.differences = differences
        self.guess: Guess | None = None
        self.lock = f"{root}/{LOCK_NAME}" if root else ""
        self.lock_written: int | None = None
        self.since: int | None = None

    def __getattr__(self, name: str) -> str:
        if name != "evidence" and name in self.evidence:  # "evidence" is missing while unpickling
            return self.evidence[name]
        raise AttributeError(name)

    @property
    def is_about_lock(self) -> bool:
        """True if the lock is at fault and not one plugin. The kind decides, never a name."""
        return self.kind in LOCK_KINDS

    def settle(self, root: str, lock: str) -> "Refusal":
        """Tell by which folder and lock it was decided, and look up when things happened.

        Whoever decides calls this, once: what refuses does not know where the lock is. Never
        raises, because an explanation must not come between a refusal and its effect.
        """
        if (self.root, self.lock) == (root, lock) and self.lock_written is not None:
            return self
        self.root, self.lock = root, lock
        try:
            from codegenie.plugins._enforce import differences as since_locked

            self.lock_written = since_locked.written(lock)
            self.since = since_locked.last_change(root, self.location, lock)
            if self.differences:
                self.differences.date(root, self.plugin, lock)
        except Exception:  # noqa: S110  # whatever it is: it is refused, with fewer words
            pass
        return self

    def summary(self) -> str:
        """One line: who and why."""
        return f"{self.subject} {self.reason} [{self.kind}]"

    def explanation(self, *, most_files: int = MAX_LISTED_FILES) -> str:
        """The whole story: what, which files and since when, and what to type."""
        return explanation.text(self, most_files=most_files)

    def model(self) -> "PluginRejected":
        """The same refusal as a model of ``codegenie.plugins.errors``.

        Raises:
            ImportError: pydantic cannot be imported here (an isolated sub-interpreter).
        """
        from codegenie.plugins.errors import model_of

        return model_of(self)


# --- the kinds, in the order of the contract ----------------------------------------------------


def integrity_mismatch(
    root: str,
    plugin: str,
    expected: str,
    actual: str,
    *,
    reason: str = "does not match the lock",
    differences: "Differences | None" = None,
) -> Refusal:
    return Refusal(
        "integrity_mismatch",
        plugin,
        {"expected": expected, "actual": actual},
        reason=reason,
        fix="restore the files, or review the change and accept it",
        steps=("diff", "lock"),
        root=root,
        location=f"{root}/{plugin}",
        differences=differences,
    )


def changed_since_verified(
    root: str,
    plugin: str,
    expected: str,
    actual: str,
    *,
    changed: "Sequence[str]" = (),
    removed: "Sequence[str]" = (),
) -> Refusal:
    """A mismatch found when a verified file is read: it is not what this process verified."""
    try:
        from codegenie.plugins._enforce.differences import Differences

        differences = Differences(changed, (), removed)
    except ImportError:  # somebody emptied sys.meta_path: it is refused, with fewer words
        differences = None
    refusal = integrity_mismatch(
        root,
        plugin,
        expected,
        actual,
        reason="changed after this process had verified it",
        differences=differences,
    )
    refusal.fix = "restore the file, or accept the change and start the process again"
    return refusal


def missing_manifest(root: str, plugin: str) -> Refusal:
    return Refusal(
        "missing_manifest",
        plugin,
        {},
        reason="has no plugin.yaml",
        fix="write plugin.yaml and lock it",
        steps=("lock",),
        root=root,
        location=f"{root}/{plugin}",
    )


def schema_violation(root: str, plugin: str, detail: str) -> Refusal:
    return Refusal(
        "schema_violation",
        plugin,
        {"detail": detail},
        reason=f"has a plugin.yaml that {detail}",
        fix="correct plugin.yaml and lock it",
        steps=("lock",),
        root=root,
        location=f"{root}/{plugin}/plugin.yaml",
    )


def unlocked_plugin(root: str, plugin: str) -> Refusal:
    return Refusal(
        "unlocked_plugin",
        plugin,
        {},
        reason="can be imported but is not in the lock",
        fix=(
            "use a folder below the mount point as the plugin folder"
            if plugin == "lost+found"
            else "move it out of the plugin folder, or review and accept it"
        ),
        steps=() if plugin == "lost+found" else ("diff", "lock"),
        root=root,
        location=f"{root}/{plugin}",
    )


def stray_module(root: str, plugin: str, entry: str) -> Refusal:
    """An ``unlocked_plugin`` that can never be locked: ``entry`` is a file, not a folder."""
    return Refusal(
        "unlocked_plugin",
        plugin,
        {},
        reason="is a module in the plugin folder itself, where only plugins belong",
        fix="move it into a plugin's folder, or out of the plugin folder",
        root=root,
        location=f"{root}/{entry}",
    )


def missing_plugin_directory(root: str, plugin: str) -> Refusal:
    return Refusal(
        "missing_plugin_directory",
        plugin,
        {},
        reason="is in the lock, but its folder is not there",
        fix="restore the folder, or accept that it was removed",
        steps=("diff", "lock"),
        root=root,
        location=f"{root}/{plugin}",
    )


def plugin_import_error(root: str, plugin: str, detail: str) -> Refusal:
    return Refusal(
        "plugin_import_error",
        plugin,
        {"detail": detail},
        reason=f"could not be imported: {detail}",
        fix="correct the plugin or what it needs",
        root=root,
        location=f"{root}/{plugin}",
    )


def _link_remedy(path: str) -> str:
    if path.rpartition("/")[2].startswith(".#"):  # Emacs locks a file by a link that leads nowhere
        return "save and close the file in the editor that has made the link, or delete the link"
    return "put the file in the link's place, or delete the link; lock it"


def symlink_escape(root: str, plugin: str, offending_path: str) -> Refusal:
    return Refusal(
        "symlink_escape",
        plugin,
        {"offending_path": offending_path},
        reason="holds a symbolic link, which can point anywhere",
        fix=_link_remedy(offending_path),
        steps=("lock",),
        root=root,
        location=offending_path,
    )


def lock_file_malformed(
    path: str, detail: str, *, reason: str | None = None, fix: str | None = None
) -> Refusal:
    """``path`` is the lock, or what keeps it from being used or written; ``reason`` is for the
    latter, which keeps nothing from being imported."""
    refused = Refusal(
        "lock_file_malformed",
        LOCKFILE_PLUGIN,
        {"detail": detail},
        reason=reason or f"cannot be used, and nothing is imported without it: {detail}",
        fix=fix or "restore it from version control, or review the plugins and lock them",
        steps=() if fix else ("lock",),
        root=path.rpartition("/")[0] or ".",
        location=path,
        subject="the lock",
    )
    refused.lock = path
    return refused


def unhashable_tree(root: str, plugin: str, offending_path: str, detail: str) -> Refusal:
    return Refusal(
        "unhashable_tree",
        plugin,
        {"offending_path": offending_path, "detail": detail},
        reason=f"holds an entry that cannot be pinned: it {detail}",
        fix="remove or rename it and lock the plugin",
        steps=("lock",),
        root=root,
        location=offending_path,
    )


def unverified_code(plugin: str | None, offending_path: str, detail: str, *, fix: str) -> Refusal:
    """Return the refusal of code that strict mode stops.

    Args:
        plugin: the name of the folder or file in the root that holds the code; ``None`` for code
            that would run as the guarded package itself.
    """
    return Refusal(
        "unverified_code",
        PACKAGE if plugin is None else printable(plugin),
        {"offending_path": offending_path, "detail": detail},
        reason=f"was about to run code that was not verified: {detail}",
        fix=fix,
        root="",
        location=offending_path,
        subject="" if plugin is not None else f"the package {PACKAGE!r}",
    )


# --- what is raised -----------------------------------------------------------------------------

# The exceptions show their public home in tracebacks, which is where programs import them from.
_PUBLIC_HOME = "codegenie.plugins.errors"


def _help(name: str) -> str:
    return f"  help      {explanation.anchor(name)}"


class PluginImportRefused(ImportError):
    """A guarded import was refused. Never a ``ModuleNotFoundError``: the module may well be there.

    ``name`` is the module that was asked for, ``path`` the folder or file that is at fault,
    ``refusal`` the plain record and ``rejection`` its model.
    """

    __module__ = _PUBLIC_HOME
    refusal: Refusal

    def __init__(self, refusal: Refusal, name: str | None = None) -> None:
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
    """The guard was switched on after plugin code had been loaded without it."""

    __module__ = _PUBLIC_HOME

    def __init__(self, modules: "Sequence[str]") -> None:
        self.modules = tuple(modules)
        listed = ", ".join(map(shortened, self.modules[:MAX_LISTED_FILES]))
        more = len(self.modules) - MAX_LISTED_FILES
        super().__init__(
            f"the plugin guard was not installed: loaded without it: {listed}"
            f"{f' and {more} more' if more > 0 else ''}\n"
            "  fix       call codegenie.plugins.guard.install() before anything that imports "
            "'plugins'\n"
            f"{_help('guard_too_late')}",
            name=self.modules[0],
        )

    def __reduce__(self) -> "tuple[type[GuardTooLate], tuple[tuple[str, ...]]]":
        return (type(self), (self.modules,))


class GuardSettled(RuntimeError):
    """``install()`` asked for another set-up than the one that is pinned, or was decided by."""

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
    """``require()`` found no enforcing guard whose set-up is pinned."""

    __module__ = _PUBLIC_HOME

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(
            f"plugins are not guarded as this application requires: {detail}\n"
            "  run       codegenie guard status\n"
            f"{_help('guard_not_enforcing')}"
        )

    def __reduce__(self) -> "tuple[type[GuardNotEnforcing], tuple[str]]":
        return (type(self), (self.detail,))
