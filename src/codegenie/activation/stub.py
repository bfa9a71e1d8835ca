"""Guard the folders that are named below from the start of this interpreter.

`site` runs this at every start. It starts the guard in `codegenie`: only the copy in HOME, only
this VERSION, with SETTINGS that the process cannot change. If that fails for any reason, this file
itself refuses the modules that the folders claim and code of their files. The ImportError gives
the reason, also in audit mode. Every other import works, and nothing is printed.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Written by: codegenie guard install
HOME = ""
VERSION = ""
SETTINGS: "dict[str, Any]" = {}
# End of what was written.

# The functions that refuse. As text, they cost a start little until they are needed.
REFUSING = ""
STATE = ""
"""Empty until the guard was started; then "guarded", or the reason why it was not started."""


def activate() -> None:
    """Start the guard; if that fails, refuse all plugins. A second call does nothing."""
    global STATE
    if STATE:
        return
    try:
        codegenie = load("codegenie", "__init__.py")
        found = f"{codegenie.__version__} in {codegenie.__path__[0]}"
        if found != f"{VERSION} in {HOME}/codegenie":  # loaded earlier, or by another finder
            raise ImportError(f"codegenie is {found}, not {VERSION} in {HOME}/codegenie")
        # Each after the modules that it imports, so that none of them has to be found.
        modules = codegenie._start = load("codegenie._start", "_start/__init__.py")
        modules.finder = load("codegenie._start.finder", "_start/finder.py")
        modules.audit_hook = load("codegenie._start.audit_hook", "_start/audit_hook.py")
        STATE = modules.audit_hook.start(SETTINGS) or "guarded"
    except BaseException as error:  # SystemExit too: with it, `site` would end the interpreter
        STATE = type(error).__name__
        sys.meta_path = [sys.modules.get(__name__), *sys.meta_path]  # type: ignore[list-item]
        for name in filter(is_guarded, list(sys.modules)):
            sys.modules.pop(name, None)  # it was loaded unguarded
        try:
            exec(compile(REFUSING, f"{__file__}: REFUSING", "exec"), globals())  # noqa: S102
            sys.addaudithook(watch)
            STATE += f": {error}".partition("\n")[0]
        except BaseException:  # another hook forbids it, or the error cannot be printed
            return  # without memory for REFUSING, `find_spec` fails because it has no `refusal`


def load(name: str, file: str) -> "Any":
    """Load a module of HOME's `codegenie` by its path, without `sys.path` and other finders."""
    import _frozen_importlib  # not at the top: a start without it must refuse plugins
    import _frozen_importlib_external

    importlib, external = vars(_frozen_importlib), vars(_frozen_importlib_external)
    needed = {"_ModuleLockManager", "_init_module_attrs", "ModuleSpec"}
    if missing := needed.difference(importlib) or {"SourceFileLoader"}.difference(external):
        raise ImportError(f"importlib lacks {missing}: use CPython 3.11 to 3.15")
    if name in sys.modules:
        with importlib["_ModuleLockManager"](name):  # another thread may be loading it
            return sys.modules[name]
    loader = external["SourceFileLoader"](name, path := f"{HOME}/codegenie/{file}")
    spec = importlib["ModuleSpec"](name, loader, origin=path)
    spec.has_location = True
    if file.endswith("__init__.py"):
        spec.submodule_search_locations = [os.path.dirname(path)]
    module = type(sys)(name)
    importlib["_init_module_attrs"](spec, module)
    code = of_bytecode(path, spec.cached, external) or loader.get_code(name)
    exec(code, module.__dict__)  # noqa: S102
    return sys.modules.setdefault(name, module)  # at last: no other thread uses half a module


def of_bytecode(source: str, cached: "str | None", external: "dict[str, Any]") -> "Any":
    """Return the code in bytecode that names the time and the size of its source, or None.

    CPython's own loader, which decides about all other cases, takes twice as long.
    """
    try:
        magic, compiled = external["MAGIC_NUMBER"], external["_compile_bytecode"]
        status, descriptor = os.stat(source), os.open(cached or "", os.O_RDONLY)
    except (KeyError, OSError):
        return None
    try:
        data = os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
    parts = 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
    if data[:16] != magic + b"".join([part.to_bytes(4, "little") for part in parts]):
        return None
    return compiled(memoryview(data)[16:], None, cached, source)


def is_guarded(name: object) -> bool:
    return isinstance(name, str) and any(claims(folder, name) for folder in SETTINGS["folders"])


def claims(folder: "dict[str, Any]", name: str) -> bool:
    """Return True if a folder claims the name of a module; one without a package claims none."""
    package = folder["package"]
    if package:
        return name == package or name.startswith(f"{package}.")
    return package is not None and name.partition(".")[0] in folder.get("names", ())


def find_spec(name: str, path: object = None, target: object = None) -> None:
    """Refuse a plugin before other finders are called. The finder is this module."""
    if is_guarded(name):
        raise refusal(name)


# In an activation file, the text of REFUSING begins here.
LIBRARIES = "ctypes.dlopen", "sqlite3.load_extension"
SCRIPTS = "cpython.run_file", "cpython.run_startup", "cpython.remote_debugger_script"


def move_to_front(this: "Any" = sys.modules.get(__name__)) -> None:  # noqa: B008
    sys.meta_path = [this, *(finder for finder in sys.meta_path if finder is not this)]


def watch(event: str, args: "tuple[Any, ...]") -> None:
    """Refuse, as an audit hook, code that bypasses the finder or displaces it."""
    if event == "import" and (is_guarded(args[0]) or is_in_root(args[1])):
        move_to_front()
        raise refusal(args[0])
    if event == "exec":
        here = getattr(sys, "_getframe", None)
        watch_code(args[0], here and here().f_back)
    # A script that the interpreter opens by its path: at its start, or by sys.remote_exec.
    if event in SCRIPTS and is_in_root(args[0]):
        raise refusal("a script of the plugin folder")
    # For a name without a slash the linker searches its library path, not the working directory.
    if event in LIBRARIES and "/" in str(text(args[-1])) and is_in_root(args[-1]):
        raise refusal("a library of the plugin folder")
    # Bytecode can claim to be from any file, so refuse it before it is read.
    read = event == "open" and args[2] & 3 != os.O_WRONLY
    read = read and str(text(args[0])).endswith(".pyc") and is_in_root(args[0])
    if read and makes_code(sys._getframe().f_back):
        raise PermissionError(13, str(refusal("bytecode of the plugin folder")), args[0])


def makes_code(frame: "Any") -> bool:
    """Return True if a caller can run bytecode: importlib, `runpy`, or a user of `marshal`."""
    while frame:
        used = *frame.f_globals, *frame.f_locals, *frame.f_code.co_names, *frame.f_code.co_consts
        if "marshal" in used or "read_code" in used:
            return True
        frame = frame.f_back
    return False


def watch_code(code: "Any", frame: "Any") -> None:
    """Refuse code of the plugin folder, and code that importlib runs under a guarded name."""
    # The frame is importlib's call of exec, and its caller is a loader.
    variables = frame.f_back.f_locals if frame and frame.f_back else {}
    module = getattr(variables.get("module"), "__dict__", {})
    name = str(module.get("__name__"))
    loader = getattr(variables.get("self"), "__dict__", {}) if module else {}
    files = (
        getattr(code, "co_filename", None),
        getattr(module.get("__spec__"), "origin", None),
        loader.get("path"),
        loader.get("archive"),
    )
    if is_guarded(name) or any(map(is_in_root, files)):
        move_to_front()
        raise refusal(name if is_guarded(name) else "code of the plugin folder")


def text(path: object) -> "str | None":
    """Return a path as an exact str, because a subclass of str or bytes can override methods."""
    try:
        named = os.fspath(path)  # type: ignore[call-overload]
        if isinstance(named, bytes):
            named = os.fsdecode(bytes.__getitem__(named, slice(None)))
        return str.__str__(named)
    except (TypeError, ValueError):
        return None


def is_in_root(path: object) -> bool:
    """Return True if a file is in a plugin folder, by its name or by the kernel's path."""
    named = text(path)
    if named is None or (named.startswith("<") and not os.access(named, os.F_OK)):
        return False
    try:
        found = tuple(places(named))
        return any(is_in_folder(place, folder) for folder in SETTINGS["folders"] for place in found)
    except ValueError:
        return False  # no file can have that name
    except OSError:
        return True  # fail closed: the path cannot be resolved


def is_in_folder(place: str, folder: "dict[str, Any]") -> bool:
    for root in folder["root"], real_folder(folder["root"]):
        below = f"{root.rstrip('/')}/"
        if place.startswith(below):
            entry = place[len(below) :].partition("/")[0]
            # In a folder that is shared with others, only units of the lock are guarded.
            shared = folder["others"] == "leave" and "names" in folder
            names = {*map(on_disk, folder.get("names", ()))}
            return not shared or bool(names & {entry, entry.partition(".")[0]})
    return False


def on_disk(name: str) -> str:
    """Return a name of the lock as this interpreter spells a file of that name."""
    return os.fsdecode(name.encode())


def places(named: str) -> "Iterator[str]":
    """Yield the absolute paths that a name can mean: as it is spelled, and to the kernel."""
    folder, name = os.path.split(named)
    yield f"{real_folder(folder)}/{name}"
    if os.path.isabs(named):
        yield os.path.normpath(f"/{named.lstrip('/')}")
    else:  # in a working directory that may have been removed
        yield os.path.normpath(f"{real_folder('')}/{named}")
    for _ in range(40):  # the limit of the kernel, which opens no longer chain of links
        if not os.path.islink(named):
            return
        named = os.path.join(os.path.dirname(named), os.readlink(named))
        folder, name = os.path.split(named)
        yield f"{real_folder(folder)}/{name}"


def real_folder(folder: str) -> str:
    """Return the kernel's own path of a folder; "link/.." is above the target of the link."""
    try:
        flags = getattr(os, "O_PATH", 0) | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(folder or ".", flags)
    except OSError:  # there is no such folder: code in a zip file, or an invented name
        where = "" if os.path.isabs(folder) else os.readlink("/proc/self/cwd")
        return os.path.realpath(os.path.join(where, folder))
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # there is no /proc, or the name is too long for it
        return os.path.realpath(folder or ".")
    finally:
        os.close(descriptor)


def refusal(what: str) -> ImportError:
    shown = what if what.isprintable() else ascii(what)  # a name can contain a line of a log
    return ImportError(
        f"{shown} is refused: the plugin guard could not be started\n"
        f"  reason    {STATE}\n  at        {__file__}\n"
        f"  fix       install codegenie {VERSION} again in {HOME}\n"
        f"  or        for another version: {again()}",
        name=what,
    )


def again() -> str:
    """Return the command that activates the guard for the same folders."""
    command = "codegenie guard install"
    if len(SETTINGS["folders"]) > 1:
        return f"{command} --config codegenie.toml"
    (folder,) = SETTINGS["folders"]
    package = folder["package"]
    if package == "plugins":
        return f"{command} --root {folder['root']}"
    claim = "--no-package" if package is None else f"--package {package!r}"
    return f"{command} --root {folder['root']} {claim}"


# End of REFUSING.
if HOME:
    activate()
