"""Describe the part of the enforcer that loaders use. For type checkers: at run time it is empty.

``if TYPE_CHECKING`` does not leave a class out of the bytecode, so a module of its own keeps it out
of what a first import loads.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Protocol

    from codegenie.integrity.packs import Pack
    from codegenie.integrity.verified_tree import VerifiedTree
    from codegenie.refusals.record import Refusal

    class Access(Protocol):
        """The part of the enforcer that loaders use: verified trees, and verified bytes."""

        @property
        def mode(self) -> str: ...

        @property
        def verified(self) -> dict[str, VerifiedTree]: ...

        def read(self, tree: VerifiedTree, relative: str, module: str) -> bytes: ...

        def bytes_to_show(self, tree: VerifiedTree, relative: str) -> bytes | None: ...

        def pack(self, tree: VerifiedTree) -> Pack | None: ...

        def refuse(self, refused: Refusal, module: str) -> None: ...

        def note_code(self, code: CodeType, path: str, *, is_verified: bool) -> None: ...

        def note_executed(self, module: ModuleType) -> None: ...

        def serve_folder(self, path: str) -> None: ...
