"""What is refused and why: a plain record, the exceptions, and the one text that explains them.

The record is plain so that refusing needs neither pydantic nor ``typing``; its ``kind`` and
evidence are those of the models in ``codegenie.plugins.errors``, which are built when somebody asks
for them. Every refusal is made by one of the functions below, and nowhere else.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie.plugins.errors import PluginRejected

LOCKFILE_PLUGIN = "<lockfile>"
MAX_LISTED_FILES = 10


class Differences:
    """The files that changed, appeared or vanished, each sorted, as paths below the plugin."""

    __slots__ = ("added", "changed", "removed")

    def __init__(
        self, changed: "Sequence[str]", added: "Sequence[str]", removed: "Sequence[str]"
    ) -> None:
        self.changed = tuple(changed)
        self.added = tuple(added)
        self.removed = tuple(removed)

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)

    def lines(self, limit: int = MAX_LISTED_FILES) -> list[str]:
        """One line per file, at most ``limit``, and a last line that counts the rest."""
        rows = [
            f"  {label:<9} {path}"
            for label, paths in (
                ("changed", self.changed),
                ("added", self.added),
                ("removed", self.removed),
            )
            for path in paths
        ]
        if len(rows) > limit:
            rows[limit:] = [f"  … and {len(rows) - limit} more"]
        return rows


class Refusal:
    """One refusal: its kind, its plugin and its evidence, and what helps a person to act on it.

    The evidence can be read as attributes (``refusal.expected``), as of the model.
    """

    __slots__ = (
        "command",
        "differences",
        "evidence",
        "fix",
        "kind",
        "location",
        "plugin",
        "reason",
    )

    def __init__(
        self,
        kind: str,
        plugin: str,
        evidence: dict[str, str],
        *,
        reason: str,
        fix: str,
        command: str = "",
        location: str,
        differences: Differences | None = None,
    ) -> None:
        self.kind = kind
        self.plugin = plugin
        self.evidence = evidence
        # Names from the disk end up in terminals and logs: none of them may forge a line there.
        self.reason = printable(reason)
        self.fix = printable(fix)
        self.command = printable(command)
        self.location = location
        self.differences = differences

    def __getattr__(self, name: str) -> str:
        if name != "evidence" and name in self.evidence:  # "evidence" is missing while unpickling
            return self.evidence[name]
        raise AttributeError(name)

    def summary(self) -> str:
        """One line, for a log."""
        who = "the lock" if self.plugin == LOCKFILE_PLUGIN else f"plugin {self.plugin!r}"
        return f"{who} {self.reason} [{self.kind}]"

    def explanation(self) -> str:
        """The whole story: what, which files where that is known, and what to type."""
        lines = [self.summary()]
        if "expected" in self.evidence:
            lines.append(f"  expected  {self.evidence['expected']}")
            lines.append(f"  found     {self.evidence['actual']}")
        if self.differences:
            lines.extend(printable(line) for line in self.differences.lines())
        lines.append(f"  at        {printable(self.location)}")
        lines.append(f"  fix       {self.fix}")
        if self.command:
            lines.append(f"  run       {self.command}")
        return "\n".join(lines)

    def model(self) -> "PluginRejected":
        """The same refusal as a model of ``codegenie.plugins.errors``.

        Raises:
            ImportError: pydantic cannot be imported here (an isolated sub-interpreter).
        """
        from codegenie.plugins.errors import model_of

        return model_of(self)


def printable(text: str) -> str:
    """``text`` with everything escaped that is not a visible character or a space."""
    if text.isprintable():
        return text
    # By hand: the codec "unicode_escape" is a module that may have to be imported first.
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


# --- the kinds, in the order of the contract ----------------------------------------------------


def integrity_mismatch(
    root: str,
    plugin: str,
    expected: str,
    actual: str,
    *,
    reason: str = "does not match the lock, so none of it runs",
    differences: Differences | None = None,
) -> Refusal:
    return Refusal(
        "integrity_mismatch",
        plugin,
        {"expected": expected, "actual": actual},
        reason=reason,
        fix="restore the files, or review the change and lock it",
        command=_lock_command(root),
        location=f"{root}/{plugin}",
        differences=differences,
    )


def changed_since_verified(
    root: str, plugin: str, expected: str, actual: str, differences: Differences
) -> Refusal:
    """A mismatch found when a verified file is read: it is not what this process verified."""
    refusal = integrity_mismatch(
        root,
        plugin,
        expected,
        actual,
        reason="changed after this process had verified it",
        differences=differences,
    )
    refusal.fix = "restore the file, or lock the change and start the process again"
    return refusal


def missing_manifest(root: str, plugin: str) -> Refusal:
    return Refusal(
        "missing_manifest",
        plugin,
        {},
        reason="has no plugin.yaml",
        fix="write plugin.yaml and lock it",
        command=_lock_command(root),
        location=f"{root}/{plugin}",
    )


def schema_violation(root: str, plugin: str, detail: str) -> Refusal:
    return Refusal(
        "schema_violation",
        plugin,
        {"detail": detail},
        reason=f"has a plugin.yaml that {detail}",
        fix="correct plugin.yaml and lock it",
        command=_lock_command(root),
        location=f"{root}/{plugin}/plugin.yaml",
    )


def unlocked_plugin(root: str, plugin: str) -> Refusal:
    return Refusal(
        "unlocked_plugin",
        plugin,
        {},
        reason="can be imported but is not in the lock",
        fix="move it out of the plugin folder, or review and lock it",
        command=_lock_command(root),
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
        location=f"{root}/{entry}",
    )


def missing_plugin_directory(root: str, plugin: str) -> Refusal:
    return Refusal(
        "missing_plugin_directory",
        plugin,
        {},
        reason="is in the lock, but its folder is not there",
        fix="restore the folder, or lock what is left if it was removed on purpose",
        command=_lock_command(root),
        location=f"{root}/{plugin}",
    )


def plugin_import_error(root: str, plugin: str, detail: str) -> Refusal:
    return Refusal(
        "plugin_import_error",
        plugin,
        {"detail": detail},
        reason=f"could not be imported: {detail}",
        fix="correct the plugin or what it needs",
        location=f"{root}/{plugin}",
    )


def symlink_escape(root: str, plugin: str, offending_path: str) -> Refusal:
    return Refusal(
        "symlink_escape",
        plugin,
        {"offending_path": offending_path},
        reason="holds a symbolic link, which can point anywhere at any time",
        fix="put the file itself in the link's place and lock it",
        command=_lock_command(root),
        location=offending_path,
    )


def lock_file_malformed(path: str, detail: str, *, fix: str | None = None) -> Refusal:
    folder = path.rpartition("/")[0] or "."
    return Refusal(
        "lock_file_malformed",
        LOCKFILE_PLUGIN,
        {"detail": detail},
        reason=f"is not valid, and nothing is imported without it: {detail}",
        fix=fix or "restore it from version control, or review the plugins and lock them",
        command="" if fix else _lock_command(folder),
        location=path,
    )


def unhashable_tree(root: str, plugin: str, offending_path: str, detail: str) -> Refusal:
    return Refusal(
        "unhashable_tree",
        plugin,
        {"offending_path": offending_path, "detail": detail},
        reason=f"holds an entry that cannot be pinned: {offending_path} {detail}",
        fix="remove or rename it and lock the plugin",
        command=_lock_command(root),
        location=offending_path,
    )


def unverified_code(plugin: str, offending_path: str, detail: str, *, fix: str) -> Refusal:
    return Refusal(
        "unverified_code",
        plugin,
        {"offending_path": offending_path, "detail": detail},
        reason=f"was about to run code that was not verified: {detail}",
        fix=fix,
        location=offending_path,
    )


def _lock_command(root: str) -> str:
    plain = root and all(c.isalnum() or c in "/._-+@%:,=" for c in root)
    quoted = root if plain else "'" + root.replace("'", "'\"'\"'") + "'"
    return f"codegenie plugins lock {quoted}"


# --- what is raised -----------------------------------------------------------------------------

# The exceptions show their public home in tracebacks, which is where programs import them from.
_PUBLIC_HOME = "codegenie.plugins.errors"


class PluginImportRefused(ImportError):
    """A guarded import was refused. Never a ``ModuleNotFoundError``: the module may well be there.

    ``name`` is the module that was asked for, ``path`` the folder or file that is at fault,
    ``refusal`` the plain record and ``rejection`` its model.
    """

    __module__ = _PUBLIC_HOME
    refusal: Refusal

    def __init__(self, refusal: Refusal, name: str | None = None) -> None:
        super().__init__(
            f"the plugin guard refused to import {name or refusal.plugin!r}\n"
            f"{refusal.explanation()}",
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
        listed = ", ".join(self.modules[:MAX_LISTED_FILES])
        more = len(self.modules) - MAX_LISTED_FILES
        super().__init__(
            f"the plugin guard was not installed: loaded without it: {listed}"
            f"{f' and {more} more' if more > 0 else ''}\n"
            "  fix       import codegenie.plugins.guard before anything that imports 'plugins'",
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
            f"{setting}={requested!r} {instead}"
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
            "  run       codegenie guard status"
        )

    def __reduce__(self) -> "tuple[type[GuardNotEnforcing], tuple[str]]":
        return (type(self), (self.detail,))
