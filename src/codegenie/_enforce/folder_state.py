"""``FolderState``: the settings and the verified trees of one guarded folder, as one value.

Two threads may decide at once, and ``load_plugins`` may change the root at the same time. A tree
that was verified for one root must never count for another root. So a decision reads the state
once, uses its settings, and records the verified trees in that same state. New settings replace
the whole state by one assignment, and the trees of an unfinished decision are lost with the
earlier state.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

    from codegenie._enforce.settings import Settings  # noqa: F401
    from codegenie.integrity.packs import Pack  # noqa: F401
    from codegenie.integrity.verification import TreeCheck  # noqa: F401
    from codegenie.integrity.verified_tree import VerifiedTree  # noqa: F401

COMPLETE = "complete"
"""Mark: ``scope="all"``, and every unit was verified. Nothing else can be imported."""

EXECUTED = "executed"
"""Mark: the claimed package was executed, or audit mode has reported its refusal. For top-level
names: the first decision was taken."""

LOCK_AUDITED = "lock audited"
"""Mark: audit mode has reported a refusal of the lock, so no import is guarded."""


class FolderState:
    """The settings of a folder, and what was verified by them.

    No attribute changes. The collections grow, and nothing is removed from them.

    Attributes:
        settings: the settings, or None while there is no root.
        check_tree: compares a tree with the lock; ``load_plugins`` may use another verifier.
        mode: ``enforce`` or ``audit``, known without a root too.
        on_refusal: ``raise`` or ``exit``.
        verified: the trees that passed, by unit.
        packs: the packs of these trees.
        audited: units whose refusal audit mode has reported. Their imports continue unguarded.
        marks: ``COMPLETE``, ``EXECUTED``, ``LOCK_AUDITED``, once they are true.
    """

    __slots__ = (
        "audited",
        "check_tree",
        "marks",
        "mode",
        "on_refusal",
        "packs",
        "settings",
        "verified",
    )

    def __init__(
        self,
        *,
        check_tree,  # type: TreeCheck
        settings=None,  # type: Settings | None
        mode="enforce",  # type: str
        on_refusal="raise",  # type: str
        verified=None,  # type: dict[str, VerifiedTree] | None
        packs=None,  # type: dict[VerifiedTree, Pack] | None
        audited=None,  # type: set[str] | None
        marks=None,  # type: set[str] | None
    ):
        # type: (...) -> None
        self.settings = settings
        self.check_tree = check_tree
        self.mode = mode
        self.on_refusal = on_refusal
        self.verified = {} if verified is None else verified
        self.packs = {} if packs is None else packs
        self.audited = set() if audited is None else audited
        self.marks = set() if marks is None else marks

    def replaced(self, **changes):
        # type: (**Any) -> FolderState
        """Return a state with these attributes. It shares the other collections with this one."""
        return FolderState(**{name: getattr(self, name) for name in self.__slots__} | changes)

    def unaudited(self):
        # type: () -> FolderState
        """Return a state in which audit mode has reported nothing, so each unit is guarded again.

        The verified trees stay: they did pass.
        """
        return self.replaced(audited=set(), marks=set())
