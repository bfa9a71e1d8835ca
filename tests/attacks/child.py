"""Goes before an attack's script, in the script's interpreter, and is never imported.

The line before it switches the guard on. Nothing is loaded here that a bare interpreter has not
loaded: some attacks replace what the guard takes from there, and must come first.
"""

import sys

# At the start of the script, whatever it replaces later.
_stderr = sys.stderr
_open = open


def _peak_memory() -> int:
    """Return the most memory this process ever held, in KiB; 0 where the kernel does not tell.

    Not ``getrusage``: what that counts begins with the memory of the parent process.
    """
    try:
        with _open("/proc/self/status") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
        return int(lines[0].split()[1])
    except (OSError, IndexError):
        return 0


_memory_before = _peak_memory()


def _report(kind: object, error: "BaseException | None", traceback: object) -> None:
    """Write what ended the script for the parent process to check."""
    chain: list[dict[str, object]] = []
    while error is not None and len(chain) < 20:
        refusal = getattr(error, "refusal", None)
        found: dict[str, object] = {
            "type": type(error).__name__,
            "bases": [base.__name__ for base in type(error).__mro__],
            "name": getattr(error, "name", None),
            "message": str(error),
        }
        if refusal is not None:
            found["refusal"] = {
                "kind": str(refusal.kind),
                "plugin": str(refusal.plugin),
                "evidence": {name: str(value) for name, value in refusal.evidence.items()},
            }
        chain.append(found)
        error = error.__cause__ or error.__context__
    report = {"chain": chain, "memory": _peak_memory() - _memory_before}
    _stderr.write("REPORT " + ascii(report) + "\n")
    _stderr.flush()


sys.excepthook = _report


class LoadRejected(Exception):
    """``load_plugins`` returned a rejection."""

    def __init__(self, evidence: "dict[str, object]") -> None:
        from types import SimpleNamespace

        super().__init__(str(evidence))
        kind, plugin = evidence.pop("kind"), evidence.pop("plugin")
        self.refusal = SimpleNamespace(kind=kind, plugin=plugin, evidence=evidence)


def load() -> None:
    """Load all plugins: with the guard through its gates, without it as plugin hosts often do."""
    from pathlib import Path

    root = Path("plugins")
    if "codegenie.plugins.guard" in sys.modules:
        from codegenie.plugins.loader import load_plugins

        loaded = load_plugins(root, root / "PLUGINS.lock")
        if loaded.is_err():
            raise LoadRejected(loaded.unwrap_err().model_dump(mode="json"))
        return
    import importlib

    import yaml

    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        try:
            yaml.unsafe_load((folder / "plugin.yaml").read_bytes())
        except Exception as error:
            print("the manifest is ignored:", type(error).__name__)
        importlib.import_module(f"{root.name}.{folder.name}.api")


def without_guard() -> "list[object]":
    """Return the finders that CPython puts on ``sys.meta_path``, and no others."""
    return [finder for finder in sys.meta_path if isinstance(finder, type)]
