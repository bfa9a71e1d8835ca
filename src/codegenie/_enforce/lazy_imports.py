"""Resolve the lazy imports of the guard's own modules (PEP 810, from Python 3.15 on).

``-X lazy_imports=all``, ``PYTHON_LAZY_IMPORTS=all`` and ``sys.set_lazy_imports("all")`` make every
import at the top of a module lazy, also here: a name is imported when it is first used. The audit
hook uses such names while something is imported, and would ask for the name that is just being
resolved (``ImportCycleError``). ``find_spec`` uses them under the global import lock, where
importing can wait for ever. So they are all resolved before the enforcer is published.

Loaded only where there are lazy imports.
"""

try:  # in here an import is never lazy
    import sys
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any


def resolve_own(*others: "ModuleType") -> None:
    """Resolve what the loaded modules of ``codegenie`` import, and the modules that this loads.

    Args:
        others: modules of the standard library that must not import when they are used.

    Raises:
        Exception: as the import statement would have, had it not been lazy.
    """
    from _types import LazyImportType  # type: ignore[import-not-found]  # ``types`` re-exports it

    while _resolve([*_own(), *others], LazyImportType):
        pass


def _own() -> "list[ModuleType]":
    return [
        module
        for name, module in list(sys.modules.items())
        if _is_own(name) and isinstance(module, type(sys)) and not _is_executing(module)
    ]


def _is_own(name: object) -> bool:
    """Return True if a key of ``sys.modules`` names a module of this project.

    Other code can use any object as a key.
    """
    return isinstance(name, str) and str.partition(name, ".")[0] == "codegenie"


def _is_executing(module: "ModuleType") -> bool:
    """Return True if a thread is still executing the module: its names may not exist yet."""
    return bool(getattr(vars(module).get("__spec__"), "_initializing", False))


def _resolve(modules: "Iterable[ModuleType]", lazy: "type[Any]") -> bool:
    """Resolve the lazy names of some modules; return True if there were any."""
    found = False
    for module in modules:
        names = vars(module)
        for name, value in list(names.items()):
            if type(value) is lazy:
                found = True
                names[name] = value.resolve()
    return found
