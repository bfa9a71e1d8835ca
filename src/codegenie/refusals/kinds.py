"""The kinds of refusal, in the order of the rules. Functions of this module make every refusal."""

from codegenie._start import PACKAGE
from codegenie.refusals.record import LOCKFILE_PLUGIN, Refusal
from codegenie.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie.refusals.differences import Differences


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
        from codegenie.refusals.differences import Differences

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
