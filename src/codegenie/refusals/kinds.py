"""The kinds of refusal, as a table: what each says, what helps, and where a person should look.

Every refusal is made here. A kind has the name and the evidence of its model in
``codegenie.plugins.errors``; a test compares the two. Its words are templates over the evidence.
The functions below the table are for refusals whose words depend on more than that.

Example:
    >>> kinds.UNHASHABLE_TREE.refusal(root, "hello", offending_path=path, detail="is a FIFO")
"""

from codegenie._start import DEFAULT_PACKAGE
from codegenie.refusals.record import LOCKFILE_PLUGIN, Refusal
from codegenie.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from codegenie.refusals.differences import Differences


class Kind:
    """One kind of refusal.

    Attributes:
        name: the value of ``kind`` in the model.
        evidence: the fields of the model beside ``kind`` and ``plugin``.
        reason: what is wrong, as a predicate: the subject of the refusal comes before it.
        remedy: what a person can do.
        steps: the commands that help, in the order to run them: ``diff``, ``lock``.
        place: the file or folder at fault.
    """

    __slots__ = ("evidence", "name", "place", "reason", "remedy", "steps")

    def __init__(
        self,
        name: str,
        *,
        evidence: tuple[str, ...] = (),
        reason: str,
        remedy: str,
        steps: tuple[str, ...] = (),
        place: str = "{root}/{plugin}",
    ) -> None:
        self.name = name
        self.evidence = evidence
        self.reason = reason
        self.remedy = remedy
        self.steps = steps
        self.place = place

    def refusal(
        self,
        root: str,
        plugin: str,
        *,
        reason: str | None = None,
        remedy: str | None = None,
        steps: tuple[str, ...] | None = None,
        place: str | None = None,
        subject: str = "",
        differences: "Differences | None" = None,
        **evidence: "Any",
    ) -> Refusal:
        """Return a refusal of this kind.

        Args:
            root: the guarded folder; empty if it is not known.
            plugin: the plugin that the model reports.
            reason: replaces that of the table; so do ``remedy``, ``steps`` and ``place``.
            subject: what is at fault, if it is not the plugin.
            differences: the files that differ, if they are known.
            evidence: the fields of the model.

        Raises:
            TypeError: the evidence is not that of this kind.
        """
        if (*evidence,) != self.evidence:
            raise TypeError(f"{self.name} has the evidence {self.evidence}, not {(*evidence,)}")
        words = {"root": root, "plugin": plugin, **evidence}
        return Refusal(
            self.name,
            plugin,
            evidence,
            reason=self.reason.format_map(words) if reason is None else reason,
            fix=self.remedy if remedy is None else remedy,
            steps=self.steps if steps is None else steps,
            root=root,
            location=self.place.format_map(words) if place is None else place,
            differences=differences,
            subject=subject,
        )


INTEGRITY_MISMATCH = Kind(
    "integrity_mismatch",
    evidence=("expected", "actual"),
    reason="does not match the lock",
    remedy="restore the files, or review the change and accept it",
    steps=("diff", "lock"),
)
MISSING_MANIFEST = Kind(
    "missing_manifest",
    reason="has no plugin.yaml",
    remedy="write plugin.yaml and lock it",
    steps=("lock",),
)
SCHEMA_VIOLATION = Kind(
    "schema_violation",
    evidence=("detail",),
    reason="has a plugin.yaml that {detail}",
    remedy="correct plugin.yaml and lock it",
    steps=("lock",),
    place="{root}/{plugin}/plugin.yaml",
)
UNLOCKED_PLUGIN = Kind(
    "unlocked_plugin",
    reason="can be imported but is not in the lock",
    remedy="move it out of the plugin folder, or review and accept it",
    steps=("diff", "lock"),
)
MISSING_PLUGIN_DIRECTORY = Kind(
    "missing_plugin_directory",
    reason="is in the lock, but it is not there",
    remedy="restore it, or accept that it was removed",
    steps=("diff", "lock"),
)
PLUGIN_IMPORT_ERROR = Kind(
    "plugin_import_error",
    evidence=("detail",),
    reason="could not be imported: {detail}",
    remedy="correct the plugin or what it needs",
)
SYMLINK_ESCAPE = Kind(
    "symlink_escape",
    evidence=("offending_path",),
    reason="holds a symbolic link, which can point anywhere",
    remedy="put the file in the link's place, or delete the link; lock it",
    steps=("lock",),
    place="{offending_path}",
)
LOCK_FILE_MALFORMED = Kind(
    "lock_file_malformed",
    evidence=("detail",),
    reason="cannot be used, and nothing is imported without it: {detail}",
    remedy="restore it from version control, or review the plugins and lock them",
    steps=("lock",),
)
UNHASHABLE_TREE = Kind(
    "unhashable_tree",
    evidence=("offending_path", "detail"),
    reason="holds an entry that cannot be pinned: it {detail}",
    remedy="remove or rename it and lock the plugin",
    steps=("lock",),
    place="{offending_path}",
)
UNVERIFIED_CODE = Kind(
    "unverified_code",
    evidence=("offending_path", "detail"),
    reason="was about to run code that was not verified: {detail}",
    remedy="restore the file, or review it and lock it",
    place="{offending_path}",
)
UNTRUSTED_LOCK = Kind(
    "untrusted_lock",
    evidence=("detail", "needed", "counted", "signatures"),
    reason="is not trusted: {detail}",
    remedy="restore plugins, lock, statement and signatures, or sign the lock",
    place="{root}",
)

KINDS = (
    INTEGRITY_MISMATCH,
    MISSING_MANIFEST,
    SCHEMA_VIOLATION,
    UNLOCKED_PLUGIN,
    MISSING_PLUGIN_DIRECTORY,
    PLUGIN_IMPORT_ERROR,
    SYMLINK_ESCAPE,
    LOCK_FILE_MALFORMED,
    UNHASHABLE_TREE,
    UNVERIFIED_CODE,
    UNTRUSTED_LOCK,
)
"""Every kind, in the order of the rules."""


def changed_since_verified(
    root: str,
    plugin: str,
    expected: str,
    actual: str,
    *,
    changed: "Sequence[str]" = (),
    removed: "Sequence[str]" = (),
) -> Refusal:
    """Return a mismatch that was found while reading a file that this process had verified."""
    try:
        from codegenie.refusals.differences import Differences

        differences = Differences(changed, (), removed)
    except ImportError:  # an application emptied sys.meta_path: refuse with fewer words
        differences = None
    return INTEGRITY_MISMATCH.refusal(
        root,
        plugin,
        expected=expected,
        actual=actual,
        reason="changed after this process had verified it",
        remedy="restore the file, or accept the change and start the process again",
        differences=differences,
    )


def unlocked_plugin(root: str, plugin: str) -> Refusal:
    """Return the refusal of a folder that the lock does not name."""
    if plugin == "lost+found":  # every ext4 file system has this folder at its top
        remedy = "use a folder below the mount point as the plugin folder"
        return UNLOCKED_PLUGIN.refusal(root, plugin, remedy=remedy, steps=())
    return UNLOCKED_PLUGIN.refusal(root, plugin)


def stray_bytecode(root: str, entry: str) -> Refusal:
    """Return the refusal of a ``.pyc`` file that an import could find in the guarded folder.

    Args:
        entry: the name of the file.
    """
    return UNLOCKED_PLUGIN.refusal(
        root,
        entry,
        reason="is bytecode in the plugin folder, which can be imported and never locked",
        remedy="delete it, or move it out of the plugin folder",
        steps=(),
    )


def symlink_escape(root: str, plugin: str, offending_path: str) -> Refusal:
    """Return the refusal of a plugin that holds a symbolic link."""
    remedy = None
    if offending_path.rpartition("/")[2].startswith(".#"):
        # Emacs locks a file that is being edited by a link that leads nowhere.
        remedy = "save and close the file in the editor that has made the link, or delete the link"
    return SYMLINK_ESCAPE.refusal(root, plugin, remedy=remedy, offending_path=offending_path)


def lock_file_malformed(
    path: str,
    detail: str,
    *,
    reason: str | None = None,
    remedy: str | None = None,
    steps: tuple[str, ...] = (),
) -> Refusal:
    """Return the refusal of a lock that cannot be used, or cannot be written.

    Args:
        path: the lock, or the folder or file that keeps it from being used or written.
        reason: replaces that of the table, for a lock that cannot be written. That keeps nothing
            from being imported.
    """
    refused = LOCK_FILE_MALFORMED.refusal(
        path.rpartition("/")[0] or ".",
        LOCKFILE_PLUGIN,
        reason=reason,
        remedy=remedy,
        steps=steps if remedy else None,
        place=path,
        subject="the lock",
        detail=detail,
    )
    refused.lock = path
    return refused


def untrusted_lock(
    lock: str,
    detail: str,
    *,
    needed: int,
    counted: tuple[str, ...],
    signatures: tuple[str, ...],
    remedy: str = "",
) -> Refusal:
    """Return the refusal of a lock for which not enough signers vouch.

    Args:
        lock: its path.
        detail: the first rule that is broken, as a sentence.
        needed: the number of signers that the policy requires; 0 if no policy was read.
        counted: the signers that count.
        signatures: one line for each signature that was checked: why it counts, or why not.
        remedy: replaces the usual one, which is to restore the release or to sign the lock.
    """
    refused = UNTRUSTED_LOCK.refusal(
        lock.rpartition("/")[0] or ".",
        LOCKFILE_PLUGIN,
        remedy=remedy or None,
        place=lock,
        subject="the lock",
        detail=detail,
        needed=needed,
        counted=counted,
        signatures=signatures,
    )
    refused.lock = lock
    return refused


def lock_missing(path: str) -> Refusal:
    """Return the refusal of a folder that was never locked, or whose lock was removed."""
    return lock_file_malformed(
        path,
        f"{path}: does not exist",
        reason="does not exist, and nothing is imported without it",
        remedy="review the folder and lock it, or restore the lock",
        steps=("lock",),
    )


def unverified_code(
    plugin: str | None,
    offending_path: str,
    detail: str,
    *,
    remedy: str,
    package: str = DEFAULT_PACKAGE,
) -> Refusal:
    """Return the refusal of code that strict mode stops.

    Args:
        plugin: the name of the folder or file in the root that holds the code; ``None`` for code
            that would run as the guarded package itself.
        package: that package, or the path of a folder that claims no package.
    """
    subject = f"the {'folder' if package.startswith('/') else 'package'} {printable(package)!r}"
    return UNVERIFIED_CODE.refusal(
        "",
        printable(package if plugin is None else plugin),
        remedy=remedy,
        subject="" if plugin is not None else subject,
        offending_path=offending_path,
        detail=detail,
    )
