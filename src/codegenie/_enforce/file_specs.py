"""Specs of verified modules that a host names by a path.

``guard.spec_from_file_location`` calls this, where a host would call the function of
``importlib.util``. The module gets the loaders of a guarded import under the name that the host
chooses: verified bytecode of the pack, and machine code from a sealed copy.
"""

import os
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie._enforce import specs, strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie._enforce.enforcer import Enforcer


def spec_of_file(enforcer: "Enforcer", name: str, path: str) -> ModuleSpec | None:
    """Return the spec of a file of the guarded folder, under any name.

    Verifies the unit of the file if that was not done yet, so never call this in ``find_spec``.
    Does not follow links: strict mode checks a file that is named through one.

    Args:
        path: the file, absolute and as it is spelled below the root.

    Returns:
        None if the file is not in a guarded folder, if there is no such file, or in audit mode.
        CPython's own loader then does what it would do without the guard.

    Raises:
        PluginImportRefused: the unit does not pass, or the file was added to it.
    """
    place = strict.unit_of_path(enforcer, path)
    if place is None or enforcer.mode == "audit":
        return None
    unit, relative = place
    tree = enforcer.verified_tree(unit, name)
    if tree is None or relative not in tree.files:
        if os.path.lexists(path) and not os.path.isdir(path):
            enforcer.refuse_file(path)
        return None
    if tree.path_of(relative) != path or not path.endswith(_start.MODULE_SUFFIXES):
        return None
    spec = specs.spec_of_file(enforcer, tree, name, relative)
    if spec.loader is not None and spec.loader.is_package(name):  # type: ignore[attr-defined]
        spec.submodule_search_locations = [path.rpartition("/")[0]]
    return spec
