"""Do what ``mode="audit"`` does differently: continue an import after its refusal was reported.

Audit mode shows what enforcing would refuse, so the program must run as without the guard. Nothing
here decides: ``Enforcer`` has reported the refusal before it calls one of these functions. Nothing
that they let through counts as verified, and ``forget_modules`` removes it as soon as another mode
or another folder decides.
"""

import os
import sys
from _frozen_importlib import ModuleSpec

from codegenie._start.finder import GuardFinder
from codegenie.files import read_regular
from codegenie.integrity import verification
from codegenie.result import Err
from codegenie.text import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.finder import Claim
    from codegenie.integrity.verified_tree import VerifiedTree


def plain_spec(name: str) -> ModuleSpec | None:
    """Return the spec that the finders behind the guard find, or None.

    Calls every other finder of ``sys.meta_path`` in order, as an import without the guard does.
    """
    path = _parent_path(name)
    for finder in sys.meta_path:
        if type(finder).__module__ != GuardFinder.__module__:
            spec = finder.find_spec(name, path, None)
            if spec is not None:
                return spec
    return None


def _parent_path(name: str) -> "Sequence[str] | None":
    """Return the path on which importlib searches a module; None for a top-level module."""
    parent = name.rpartition(".")[0]
    return getattr(sys.modules.get(parent), "__path__", []) if parent else None


def added_since(enforcer: "Enforcer", tree: "VerifiedTree", fullname: str) -> ModuleSpec | None:
    """Return the spec of a module that was added after its plugin passed, and report the change.

    Raises:
        ModuleNotFoundError: there is no such module on the disk either.
    """
    plain = plain_spec(fullname)
    if plain is None:
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
    now = verification.verify_plugin(tree.root, tree.plugin, tree.digest)
    if isinstance(now, Err):
        enforcer.refuse(now.error, fullname)
    return plain


def run_package(name: str, spec: ModuleSpec | None) -> None:
    """Import the claimed package as if there were no guard, because it has no valid lock.

    ``_load_unlocked`` in ``Lib/importlib/_bootstrap.py`` returns the module that is in
    ``sys.modules`` after the loader has run, so the module that plain Python finds can replace the
    synthetic one.

    Raises:
        ModuleNotFoundError: ``spec`` is None.
    """
    from importlib.util import module_from_spec

    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = module_from_spec(spec)  # gives the spec of a namespace package its loader
    sys.modules[name] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


def read_unverified(path: str, module: str) -> bytes:
    """Return the present bytes of a file that is not what was verified. Never opens a FIFO.

    Raises:
        ImportError: it cannot be read, or is no regular file.
    """
    try:
        data = read_regular(path, max_bytes=os.stat(path).st_size)
    except OSError as error:
        shown = shortened(path)
        raise ImportError(f"{shown} cannot be read: {error.strerror}", name=module) from error
    if isinstance(data, Err):
        raise ImportError(str(data.error), name=module, path=path)
    return data.value


def forget_modules(claim: "Claim") -> None:
    """Remove the modules of a folder from ``sys.modules``, so the next import verifies them.

    Modules that audit mode let through are unverified. Modules that are being executed stay,
    because importlib pops them and binds them in their parent after the execution. It fails if
    either is missing (``_load_unlocked`` and ``_find_and_load_unlocked`` in
    ``Lib/importlib/_bootstrap.py``).
    """
    guarded = {
        name: module
        for name, module in list(sys.modules.items())
        if claim.finder.claim_of(name) is claim
    }
    needed: set[str] = set()
    for name, module in guarded.items():
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            parts = name.split(".")
            needed.update(".".join(parts[: end + 1]) for end in range(len(parts)))
    for name in guarded:
        if name not in needed:
            sys.modules.pop(name, None)  # another thread may have removed it
