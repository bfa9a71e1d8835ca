"""Load the plugins of a folder as ComfyUI loads ``custom_nodes``.

Each entry of the folder is a package or a single file. Its module is named after its path, with
every dot replaced, and is put into ``sys.modules`` before it runs. A node that fails is reported,
and the others are loaded.
"""

import importlib.util
import os
import sys
import traceback


def load(path: str) -> bool:
    """Load one entry; return True if it has nodes."""
    name = os.path.abspath(path).replace(".", "_x_")
    try:
        if os.path.isfile(path):
            spec = importlib.util.spec_from_file_location(name, path)
        else:
            spec = importlib.util.spec_from_file_location(name, os.path.join(path, "__init__.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return bool(module.NODE_CLASS_MAPPINGS)
    except Exception:
        traceback.print_exc()
        print(f"Cannot import {path} module for custom nodes")
        return False


if __name__ == "__main__":
    folder = sys.argv[1]
    for entry in sorted(os.listdir(folder)):
        path = os.path.join(folder, entry)
        if entry != "__pycache__" and (os.path.isdir(path) or entry.endswith(".py")):
            print(entry, load(path))
