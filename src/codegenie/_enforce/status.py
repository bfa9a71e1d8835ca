"""Collect the status of this interpreter's guard for ``guard.status()``, which loads this."""

from codegenie._start.finder import installed, is_at_front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.refusals.record import Refusal


class GuardStatus:
    """The status of the guard in this interpreter. ``root`` and ``lock`` are None until known.

    ``active``: it is first on ``sys.meta_path``. ``pinned``: an activation file has set it up, and
    the process cannot change it. ``log``: the event log, a path or ``fd:N``. ``verified`` is
    ``{plugin: tree digest}``; ``bytecode`` says per plugin how many of its modules came from a pack
    and how many were compiled, and why the last of those was; ``refused`` holds the latest refusal
    per plugin and kind, as plain records with ``kind``, ``plugin`` and ``evidence``.
    """

    __slots__ = (
        "active",
        "bytecode",
        "lock",
        "log",
        "mode",
        "on_refusal",
        "pinned",
        "refused",
        "root",
        "scope",
        "strict",
        "verified",
    )

    def __init__(self) -> None:
        self.active = False
        self.pinned = False
        self.root: str | None = None
        self.lock: str | None = None
        self.scope = "all"
        self.mode = "enforce"
        self.on_refusal = "raise"
        self.strict = True
        self.log: str | None = None
        self.verified: dict[str, str] = {}
        self.bytecode: dict[str, dict[str, object]] = {}
        self.refused: tuple[Refusal, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the status as plain data, for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "verified": dict(self.verified),
            "refused": [{"kind": r.kind, "plugin": r.plugin, **r.evidence} for r in self.refused],
        }

    def __repr__(self) -> str:
        return f"GuardStatus({self.as_dict()!r})"


def status() -> GuardStatus:
    """Return the status: settings, verified plugins and refusals."""
    result = GuardStatus()
    finder = installed()
    if finder is None:
        return result
    result.active = is_at_front(finder)
    result.strict = finder.strict
    result.pinned = finder.pinned
    # Copies: an import in another thread may add to each of these dictionaries now.
    requested = finder.requested.copy()
    for setting, value in requested.items():
        setattr(result, setting, value)
    from codegenie._enforce.settings import resolve

    found = resolve(requested)
    result.mode, result.on_refusal, result.log = found.mode, found.on_refusal, found.log or None
    enforcer = finder.existing_enforcer()
    if enforcer is not None:
        result.mode, result.on_refusal = enforcer.mode, enforcer.on_refusal
        if enforcer.settings is not None:
            result.root, result.lock = enforcer.settings.root, enforcer.settings.lock
            result.scope = enforcer.settings.scope
        result.verified = {p: tree.digest for p, tree in enforcer.verified.copy().items()}
        result.bytecode = {
            tree.plugin: {"from_pack": p.from_pack, "compiled": p.compiled, "reason": p.reason}
            for tree, p in enforcer.packs.copy().items()
            if p.from_pack or p.compiled
        }
        result.refused = tuple(enforcer.refused.copy().values())
    return result
