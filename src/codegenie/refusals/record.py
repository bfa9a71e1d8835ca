"""One refusal as a plain record: what is refused, why, and what helps.

The record is plain so that refusing needs neither pydantic nor ``typing``. Its ``kind`` and its
evidence are those of the models in ``codegenie.plugins.errors``, which are made on request. The
functions of ``kinds`` make every record; the words come from ``explanation``.
"""

from codegenie._start import LOCK_NAME
from codegenie.refusals import explanation
from codegenie.refusals.explanation import MAX_LISTED_FILES
from codegenie.text import printable as printable
from codegenie.text import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from codegenie.plugins.errors import PluginRejected
    from codegenie.refusals.differences import Differences, Guess

_LONGEST_TEXT = 5000
"""Characters of a sentence. Two paths of the longest kind fit; a text from elsewhere may not."""

LOCKFILE_PLUGIN = "<lockfile>"
"""Reported as the plugin of a refusal that concerns the lock. Never compared with: a file or folder
of the root may have this name. ``Refusal.is_about_lock`` is the test."""

LOCK_KINDS = frozenset(("lock_file_malformed", "untrusted_lock"))
"""The kinds of refusals that concern the lock, and so every plugin."""


class Refusal:
    """One refusal: its kind, its plugin and its evidence, and what helps a person to act on it.

    The evidence can be read as attributes (``refusal.expected``), as of the model. ``steps`` are
    the commands that help (``diff``, ``lock``), in the order to take them. ``differences`` are the
    files that differ where that is known, ``guess`` those that may; times are in seconds since the
    epoch. ``under_policy`` is True if a policy decides who vouches for a changed lock.
    ``subject`` says what is at fault, in words that no plugin's name can imitate.
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
        "under_policy",
    )

    def __init__(
        self,
        kind: str,
        plugin: str,
        evidence: "dict[str, Any]",
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
        self.under_policy = False

    def __getattr__(self, name: str) -> "Any":
        if name != "evidence" and name in self.evidence:  # "evidence" is missing while unpickling
            return self.evidence[name]
        raise AttributeError(name)

    @property
    def is_about_lock(self) -> bool:
        """Return True if the lock is at fault, not one plugin. The kind decides, never a name."""
        return self.kind in LOCK_KINDS

    def with_context(self, root: str, lock: str) -> "Refusal":
        """Attach the folder and lock that the decision used, and look up the times of changes.

        The decider calls this once, because the constructors do not know the lock's path. Never
        raises, because an explanation must not come between a refusal and its effect.
        """
        if (self.root, self.lock) == (root, lock) and self.lock_written is not None:
            return self
        self.root, self.lock = root, lock
        try:
            from codegenie.refusals import differences as since_locked

            self.lock_written = since_locked.written(lock)
            self.since = since_locked.last_change(root, self.location, lock)
            if self.differences:
                self.differences.date(root, self.plugin, lock)
        except Exception:  # noqa: S110  # refuse all the same, with fewer words
            pass
        return self

    def summary(self) -> str:
        """Return one line: the subject and the reason."""
        return f"{self.subject} {self.reason} [{self.kind}]"

    def explanation(self, *, most_files: int = MAX_LISTED_FILES) -> str:
        """Return the explanation as lines: what, which files and since when, and what to type."""
        return explanation.text(self, most_files=most_files)

    def model(self) -> "PluginRejected":
        """Return this refusal as a model of ``codegenie.plugins.errors``.

        Raises:
            ImportError: pydantic cannot be imported here (an isolated sub-interpreter).
        """
        from codegenie.plugins.errors import model_of

        return model_of(self)
