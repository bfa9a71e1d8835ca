"""An application with plugins: the whole of it is the ten lines of ``main``.

python examples/application.py PLUGIN_FOLDER FOLDER_TO_REPORT_ON
"""

# ruff: noqa: E402
import codegenie.plugins.guard

codegenie.plugins.guard.install()  # first: what is imported before it is not guarded

import sys
from pathlib import Path

from codegenie.plugins.errors import exit_code_for_rejection
from codegenie.plugins.loader import load_plugins
from codegenie.plugins.registry import default_registry
from codegenie.result import Err


def main(plugin_root: Path, folder: str) -> int:
    loaded = load_plugins(plugin_root, plugin_root / "PLUGINS.lock")
    if isinstance(loaded, Err):
        print(f"plugins refused: {loaded.error!r}", file=sys.stderr)
        return exit_code_for_rejection(loaded.error)
    for plugin in default_registry.all():
        print(f"== {plugin.name}")
        print("\n".join(plugin.run([folder])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
