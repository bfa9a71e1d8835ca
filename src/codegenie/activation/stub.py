"""Guards `plugins` and `plugins.*` from the start of this interpreter, by the settings below.

`site` runs this at every start. It hands over to the guard in `codegenie`: the copy in HOME and no
other, of this VERSION, with SETTINGS that nothing changes later. Where that fails, whatever the
reason, it refuses `plugins` and `plugins.*` by itself, with an ImportError that says why, and code
of the files in the plugin folder. So it does in audit mode: a guard that does not run reports
nothing. Every other import passes, nothing is printed, and the interpreter goes on.
"""

import _frozen_importlib
import os
import sys
from _frozen_importlib_external import spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Written by: codegenie guard install
HOME = ""
VERSION = ""
SETTINGS: "dict[str, Any]" = {}
# End of what was written.

SCRIPTS = "cpython.run_file", "cpython.run_startup", "cpython.remote_debugger_script"

STATE = ""
"""Empty until the guard was started; then "guarded", or why it could not be started."""


def activate() -> None:
    """Start the guard, or refuse in its place. A second call does nothing."""
    global STATE
    if STATE:
        return
    try:
        codegenie = load("codegenie", "__init__.py")
        found = f"{codegenie.__version__} in {codegenie.__path__[0]}"
        if found != f"{VERSION} in {HOME}/codegenie":  # loaded earlier, or by another finder
            raise ImportError(f"codegenie is {found}, not {VERSION} in {HOME}/codegenie")
        codegenie._start = load("codegenie._start", "_start.py")
        codegenie._start.start(SETTINGS)
        STATE = "guarded"
    except BaseException as error:  # SystemExit too: with it, `site` would end the interpreter
        STATE = type(error).__name__
        Refuser.put_first()
        for name in filter(is_guarded, list(sys.modules)):
            sys.modules.pop(name, None)  # it was loaded before anything could guard it
        try:
            sys.addaudithook(watch)
            STATE += f": {error}".partition("\n")[0]
        except BaseException:  # another hook forbids it, or the error cannot be printed
            return


def load(name: str, file: str) -> "Any":
    """A module of HOME's `codegenie`, without a search that `sys.path` or a finder could answer."""
    importlib = vars(_frozen_importlib)  # as it goes on there once a finder has found a module
    with importlib["_ModuleLockManager"](name):  # another thread may be loading it
        if name not in sys.modules:
            importlib["_load_unlocked"](spec_from_file_location(name, f"{HOME}/codegenie/{file}"))
    return sys.modules[name]


def is_guarded(name: object) -> bool:
    return isinstance(name, str) and (name == "plugins" or name.startswith("plugins."))


class Refuser:
    """A finder that lets nobody else look for a plugin."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if is_guarded(name):
            raise refusal(name)

    @classmethod
    def put_first(cls) -> None:
        sys.meta_path = [cls, *(finder for finder in sys.meta_path if finder is not cls)]


def watch(event: str, args: "tuple[Any, ...]") -> None:
    """An audit hook, for what puts another finder first, or goes around them all."""
    if event == "import" and (is_guarded(args[0]) or is_in_root(args[1])):
        Refuser.put_first()
        raise refusal(args[0])
    if event == "exec":
        frame = sys._getframe().f_back  # which executes for importlib, and is called by a loader
        module = frame and frame.f_back and frame.f_back.f_locals.get("module")
        name = str(getattr(module, "__dict__", {}).get("__name__"))
        if is_guarded(name) or is_in_root(getattr(args[0], "co_filename", None)):
            Refuser.put_first()
            raise refusal(name if is_guarded(name) else "code of the plugin folder")
    # A script that the interpreter opens by its path: at its start, or by sys.remote_exec.
    if event in SCRIPTS and is_in_root(args[0]):
        raise refusal("a script of the plugin folder")
    # Its code can claim to be of any file, so it is stopped before it is read.
    read = event == "open" and args[2] & 3 != os.O_WRONLY
    if read and str(args[0]).endswith(".pyc") and is_in_root(args[0]):
        raise PermissionError(13, str(refusal("bytecode of the plugin folder")), args[0])


def is_in_root(path: object) -> bool:
    """Whether a file lies in the plugin folder, by its name or by where that leads."""
    if type(path) is not str or path.startswith("<"):
        return False
    real, root = os.path.realpath, SETTINGS["root"]
    try:
        return path.startswith(f"{root}/") or real(path).startswith(f"{real(root)}/")
    except (OSError, ValueError):  # a relative name, while the working directory is gone
        return False


def refusal(what: str) -> ImportError:
    shown = what if what.isprintable() else ascii(what)  # a name can hold a line of a log
    return ImportError(
        f"{shown} is refused: the plugin guard could not be started\n"
        f"  reason    {STATE}\n  at        {__file__}\n"
        f"  fix       install codegenie {VERSION} again in {HOME}\n"
        f"  or        for another version: codegenie guard install --root {SETTINGS['root']}",
        name=what,
    )


if HOME:
    activate()
