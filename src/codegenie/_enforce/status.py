"""Collect the status of this interpreter's guard for ``guard.status()``, which loads this."""

from codegenie._start import DEFAULT_PACKAGE
from codegenie._start.finder import installed, is_at_front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.finder import Claim
    from codegenie.refusals.record import Refusal


class FolderStatus:
    """The status of one guarded folder.

    ``root`` and ``lock`` are None until known. ``verified`` is ``{unit: tree digest}``;
    ``bytecode`` says per unit how many of its modules came from a pack and how many were compiled,
    and why the last of those was; ``refused`` holds the latest refusal per unit and kind, as plain
    records with ``kind``, ``plugin`` and ``evidence``. ``trust`` is None if no policy is pinned,
    else a dictionary: ``policy``, ``sha256``, ``at``, ``floor`` and ``floor_statement``. Once a
    statement was accepted, it also has ``signers``, ``sequence``, ``statement``, ``issued``,
    ``expires`` and ``days_left``.
    """

    __slots__ = ("bytecode", "lock", "others", "package", "refused", "root", "trust", "verified")

    def __init__(self) -> None:
        self.root: str | None = None
        self.lock: str | None = None
        self.package: str | None = DEFAULT_PACKAGE
        self.others = "refuse"
        self.trust: dict[str, object] | None = None
        self.verified: dict[str, str] = {}
        self.bytecode: dict[str, dict[str, object]] = {}
        self.refused: tuple[Refusal, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the status as plain data, for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "verified": dict(self.verified),
            "refused": _as_data(self.refused),
        }

    def __repr__(self) -> str:
        return f"FolderStatus({self.as_dict()!r})"


def _as_data(refused: "Sequence[Refusal]") -> list[dict[str, object]]:
    return [{"kind": r.kind, "plugin": r.plugin, **r.evidence} for r in refused]


class GuardStatus:
    """The status of the guard in this interpreter.

    ``active``: it is first on ``sys.meta_path``. ``pinned``: an activation file has set it up, and
    the process cannot change it. ``log``: the event log, a path or ``fd:N``. ``folders`` has the
    status of each guarded folder. ``root`` and ``lock`` are those of the first folder, and None
    until known, and so is ``trust``; ``verified``, ``bytecode`` and ``refused`` are those of all
    folders.
    """

    __slots__ = (
        "active",
        "bytecode",
        "folders",
        "lock",
        "log",
        "mode",
        "on_refusal",
        "pinned",
        "refused",
        "root",
        "scope",
        "strict",
        "trust",
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
        self.folders: tuple[FolderStatus, ...] = ()
        self.trust: dict[str, object] | None = None
        self.verified: dict[str, str] = {}
        self.bytecode: dict[str, dict[str, object]] = {}
        self.refused: tuple[Refusal, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the status as plain data, for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "verified": dict(self.verified),
            "folders": [folder.as_dict() for folder in self.folders],
            "refused": _as_data(self.refused),
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
    result.scope = finder.requested.get("scope", "all")
    from codegenie._enforce.settings import resolve

    found = resolve({**finder.requested, **finder.claims[0].requested})
    result.mode, result.on_refusal, result.log = found.mode, found.on_refusal, found.log or None
    result.folders = tuple(_folder_status(claim) for claim in finder.claims)
    for folder in reversed(result.folders):
        result.verified.update(folder.verified)
        result.bytecode.update(folder.bytecode)
        result.refused = (*folder.refused, *result.refused)
    first = result.folders[0]
    result.root, result.lock, result.trust = first.root, first.lock, first.trust
    for claim in finder.claims:
        enforcer = claim.existing_enforcer()
        if enforcer is not None and enforcer.settings is not None:
            result.mode, result.on_refusal = enforcer.mode, enforcer.on_refusal
            result.scope = enforcer.settings.scope
            break
    return result


def _folder_status(claim: "Claim") -> FolderStatus:
    result = FolderStatus()
    # Copies: an import in another thread may add to each of these dictionaries now.
    requested = claim.requested.copy()
    result.root, result.lock = requested.get("root"), requested.get("lock")
    result.package, result.others = claim.package, requested.get("others", "refuse")
    enforcer = claim.existing_enforcer()
    result.trust = _trust({**claim.finder.requested, **requested}, enforcer)
    if enforcer is None:
        return result
    if enforcer.settings is not None:
        result.root, result.lock = enforcer.settings.root, enforcer.settings.lock
    result.verified = {p: tree.digest for p, tree in enforcer.verified.copy().items()}
    result.bytecode = {
        tree.plugin: {"from_pack": p.from_pack, "compiled": p.compiled, "reason": p.reason}
        for tree, p in enforcer.state.packs.copy().items()
        if p.from_pack or p.compiled
    }
    result.refused = tuple(enforcer.refused.copy().values())
    return result


def _trust(
    requested: "Mapping[str, Any]", enforcer: "Enforcer | None"
) -> "dict[str, object] | None":
    """Return the pinned policy, and the statement that this process has accepted."""
    if not requested.get("trust"):
        return None
    result = {
        **requested["trust"],
        "floor": requested.get("floor") or 0,
        "floor_statement": requested.get("statement") or None,
    }
    if enforcer is not None and enforcer.settings is not None:
        trusted = enforcer.trusted_lock(enforcer.settings.lock)
        if trusted is not None and trusted.vouched is not None:
            result.update(trusted.vouched.as_dict())
    return result
