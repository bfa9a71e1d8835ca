"""Code that reaches the interpreter without the guard's own loaders (``strict``).

The audit hook (``codegenie._start``) has found that something of the plugin folder is about
to be run, or that a module is about to run under a guarded name. Here it is judged:

1. the plugin that the file belongs to must pass, as for an import;
2. the file must be one of the verified tree;
3. it must still be what was verified (``reading``);
4. the code must be what those bytes compile to (``sameness``).

So a debugger, coverage or ``spec_from_file_location`` on an unchanged file works, and forged
bytecode, a changed file and a file that was added do not. Machine code and bytecode cannot be bound
to what was hashed by looking at it: they are refused, whatever they are. Nothing here runs under
the global import lock.
"""

import _frozen_importlib_external
import os
import sys
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie._enforce import report
from codegenie._start import is_below
from codegenie.integrity import verification
from codegenie.integrity.reading import read_verified
from codegenie.refusals import exceptions, kinds
from codegenie.result import Err

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

    from codegenie._enforce.enforcer import Enforcer
    from codegenie.integrity.verified_tree import VerifiedTree

_FRAMES_TO_LOADER = 8
"""``get_data``, and what a subclass may put between."""

_IMPORTLIB = (
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    # The names of the same modules until `importlib` is imported.
    "_frozen_importlib",
    "_frozen_importlib_external",
)


def judge_code(
    enforcer: "Enforcer",
    code: "CodeType",
    path: str,
    module: str,
    *,
    as_module: bool,
    in_guarded_folder: "Callable[[str], bool]",
) -> None:
    """Refuse module code that is not compiled from verified bytes.

    Args:
        path: the file that it comes from, or claims to.
        module: the name that importlib executes it under; empty if it is not importlib.
        as_module: whether a loader, or ``runpy``, runs it as the module that ``path`` holds: then
            nothing else will do than that module, as this interpreter compiles it.
        in_guarded_folder: the hook's answer to whether a file lies in the plugin folder.

    Raises:
        PluginImportRefused: in audit mode it is reported only.
    """
    place = _place(enforcer, path)
    if place is None:
        plugin = _plugin_of(module)
        if _start.is_guarded(module) and not enforcer.is_audited(plugin):
            detail = f"it is not in the plugin folder, and would run as {module}"
            fix = "give it another name, or take its folder off sys.path"
            enforcer.refuse(kinds.unverified_code(plugin, path, detail, remedy=fix), module)
        elif in_guarded_folder(path) and enforcer.settings is not None:
            # Asked again, now that the root is known. Two answers must not mean that it runs.
            detail = "it is not known which file of the plugin folder it is"
            fix = "name it by its path, without links"
            enforcer.refuse(kinds.unverified_code(None, path, detail, remedy=fix), path)
        return
    plugin, relative = place
    if not as_module and _is_made_up(enforcer, plugin, relative, path):
        return
    data = _verified(enforcer, plugin, relative, path, module or path)
    # Rarely needed, and not loaded before it is.
    try:
        from codegenie.integrity.code_objects import compiles_to
    except ImportError as error:
        raise _start.guard_load_error(error) from error

    if data is not None and not compiles_to(data, code, as_module=as_module):
        detail = f"it is not what the verified bytes of {relative} compile to"
        if _start.is_guarded(module):
            fix = "exclude the plugins from the tracer or import hook that makes other code of them"
        else:
            fix = (
                "import it as plugins.<id>.<module>; delete bytecode that was planted; "
                "give code that is generated a name of its own, such as <generated>"
            )
        enforcer.refuse(kinds.unverified_code(plugin, path, detail, remedy=fix), module or path)


def _is_made_up(enforcer: "Enforcer", plugin: str, relative: str, path: str) -> bool:
    """Return True if generated code has a relative name that no file has, on disk or in the lock.

    Template engines name their code like that (``index_html.generated.py``), and it means a file
    of the plugin only because the working directory is the plugin's folder. An absolute name is
    held to the tree, because an attacker can remove a file after a program has read it.
    """
    if os.path.isabs(path):
        return False
    try:
        _start.getcwd()
    except OSError:
        return False  # every relative name is missing in a working directory that was removed
    try:
        _start.lstat(path)
    except FileNotFoundError:
        tree = enforcer.verified_tree(plugin, path)
        return tree is None or relative not in tree.files
    except (OSError, ValueError):
        pass
    return False


def refuse_past_the_guard(enforcer: "Enforcer", path: str, module: str) -> None:
    """Refuse a module that another finder has found while the guard was displaced.

    ``importlib.reload`` raises no audit event, nor did ``importlib.import_module`` before Python
    3.15, so this is where it is noticed.

    Raises:
        PluginImportRefused: in audit mode it is reported only.
    """
    plugin = _plugin_of(module)
    if not enforcer.is_audited(plugin):
        detail = f"{module} was found by another finder, while the guard was not first"
        fix = "find what displaces it on sys.meta_path; it is first again, so import anew"
        enforcer.refuse(kinds.unverified_code(plugin, path, detail, remedy=fix), module)


def displaced(enforcer: "Enforcer", by: str, *, removed: bool, executing: str) -> None:
    """Report that the guard was not first on ``sys.meta_path``, and forget what others have found.

    What leaves ``sys.modules`` here, the next import gets from the guard.

    A namespace package comes into ``sys.modules`` without any code being executed, so this is where
    it is noticed.

    Args:
        executing: the module that is being executed right now, which stays: importlib, which takes
            it out itself, fails if it is not there (``_exec`` in ``Lib/importlib/_bootstrap.py``).
    """
    if enforcer.mode == "enforce":
        for name, module in _guarded_modules():
            if name != executing and _is_found_by_another(enforcer, module):
                _forget(name, module)
    report.displaced(by, removed=removed)


def refuse_unguarded() -> None:
    """Refuse to be installed after plugin code was loaded.

    Raises:
        GuardTooLate: with the names of the modules.
    """
    unguarded = [name for name, module in _guarded_modules() if not _is_served(module)]
    if unguarded:
        raise exceptions.GuardTooLate(sorted(unguarded))


def _guarded_modules() -> "list[tuple[str, object]]":
    """Return what ``sys.modules`` holds under guarded names."""
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if _start.is_guarded(name) and module is not None
    ]


def _is_served(module: object) -> bool:
    """Return True if a loader of the guard made a module."""
    spec = _spec_of(module)
    return spec is not None and _is_own_loader(spec.loader)


def _is_own_loader(loader: object) -> bool:
    return type(loader).__module__.startswith(("codegenie._start", "codegenie._enforce."))


def _is_found_by_another(enforcer: "Enforcer", module: object) -> bool:
    """Return True if a finder other than the guard has found a module on the disk.

    What an application or a plugin has put into ``sys.modules`` by itself stays: a test stub, an
    object in the place of a module, a module of another name, a module whose spec names no file and
    no folder.
    """
    spec = _spec_of(module)
    if spec is None or not _start.is_guarded(spec.name) or _is_own_loader(spec.loader):
        return False
    if enforcer.executed.has(spec):
        return False  # verified code of it has run, whatever wraps its loader
    folders = spec.submodule_search_locations
    return spec.has_location or (folders is not None and folders != [])


def _spec_of(module: object) -> ModuleSpec | None:
    """Return the spec of a module; None for an object that is no module, or has none.

    Not by an attribute: reading one executes a module that ``importlib.util.LazyLoader`` has made.
    """
    if not _start.is_instance(module, _start.MODULE):
        return None
    spec = _start.namespace_of(module).get("__spec__")
    return spec if _start.is_instance(spec, ModuleSpec) else None


def _forget(name: str, module: object) -> None:
    """Take a module out of ``sys.modules`` and of its parent, in which importlib has bound it."""
    sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    holder = sys.modules.get(parent)
    if type(holder) is _start.MODULE and vars(holder).get(child) is module:
        delattr(holder, child)


def judge_file(enforcer: "Enforcer", path: str) -> None:
    """Refuse a library that is about to be loaded, a script about to be run by its path, or code
    that was made of a data file (a template, a line of a ``.pth`` file, a script without ``.py``).

    Whoever makes or loads it opens the file again: an exchange at that very moment is not noticed.

    Raises:
        PluginImportRefused: it is not a file of a verified tree, or has changed since.
    """
    place = _place(enforcer, path)
    if place is not None:
        _verified(enforcer, *place, path, path, opened_as=path)


def judge_machine_code(enforcer: "Enforcer", path: str, module: str) -> None:
    """Refuse an extension module that would be loaded from the disk: one of the plugin folder, or
    any, under a guarded name.

    Raises:
        PluginImportRefused: in audit mode it is reported only.
    """
    place = _place(enforcer, path)
    plugin = _plugin_of(module) if place is None else _at_fault(place)
    if not enforcer.is_audited(plugin):
        detail = "machine code that is loaded from the disk can be exchanged at any time"
        fix = "import it as plugins.<id>.<module>, which loads a sealed copy"
        enforcer.refuse(kinds.unverified_code(plugin, path, detail, remedy=fix), module)


def refuse_at_the_end(enforcer: "Enforcer", path: str, module: str) -> None:
    """Refuse code of the plugin folder, or of a guarded module, while the interpreter ends.

    Raises:
        PluginImportRefused: in audit mode it is reported only.
    """
    place = _place(enforcer, path)
    plugin = _plugin_of(module) if place is None else place[0]
    if not enforcer.is_audited(plugin):
        detail = "nothing can be verified any longer while the interpreter ends"
        fix = "run it earlier, for example in a function that atexit calls"
        enforcer.refuse(kinds.unverified_code(plugin, path, detail, remedy=fix), module or path)


def withhold_changed_source(enforcer: "Enforcer", path: str) -> None:
    """Keep a changed file from being shown as the source of the verified code that runs.

    ``linecache`` reads the file whenever it exists, and takes an ``OSError`` for "no source". This
    neither refuses nor reports anything, and verifies no tree.

    Raises:
        PermissionError: the file belongs to a verified tree and has changed since, or it is the
            ``__init__.py`` of the plugin folder, which never runs.
    """
    if enforcer.mode != "enforce" or not enforcer.verified:
        return
    place = _place(enforcer, path)
    if place == ("__init__.py", ""):
        raise PermissionError(13, "the file never runs under the guard", path)
    tree = None if place is None else enforcer.verified.get(place[0])
    if place is None or tree is None or place[1] not in tree.files:
        return
    if isinstance(read_verified(tree, place[1]), Err):
        raise PermissionError(13, "the file has changed since the guard verified it", path)


def judge_bytecode(enforcer: "Enforcer", path: str, frame: "FrameType | None") -> None:
    """Refuse to open bytecode of the plugin folder in order to run it.

    Bytecode can claim to come from any file, so the code that results would not be recognized. A
    program that only copies the file, such as a backup, may open it.

    Args:
        frame: the innermost frame of the hook; its callers open the file.

    Raises:
        PluginImportRefused: a loader of bytecode opens it.
        PermissionError: ``SourceLoader.get_code`` looks for a cache and continues with the source,
            or a program opens it that can unmarshal code.
    """
    place = _place(enforcer, path)
    if place is None or enforcer.is_audited(place[0]):
        return
    callers = list(_callers(frame))
    detail = "bytecode is in no digest"
    if any(map(_runs_bytecode, callers)):
        fix = "delete it, and import what it was made from as plugins.<id>.<module>"
        enforcer.refuse(kinds.unverified_code(_at_fault(place), path, detail, remedy=fix), path)
    elif enforcer.mode == "enforce" and _can_make_code(callers):
        raise PermissionError(13, f"the plugin guard does not let it be read: {detail}", path)


def _callers(frame: "FrameType | None") -> "Iterator[FrameType]":
    """Yield the frames that open a file, innermost first, without the frames of the hook."""
    for _ in range(_FRAMES_TO_LOADER):
        if frame is None:
            return
        if frame.f_globals.get("__name__") != _start.__name__:
            yield frame
        frame = frame.f_back


def _runs_bytecode(frame: "FrameType") -> bool:
    """Return True if the frame is ``SourcelessFileLoader.get_code`` or the like in ``runpy``."""
    return frame.f_code is _start.sourceless or (
        frame.f_code.co_name == "_get_code_from_file" and frame.f_globals.get("__name__") == "runpy"
    )


def _can_make_code(callers: "Sequence[FrameType]") -> bool:
    """Return True if a caller could turn the bytes of a ``.pyc`` into code.

    That is importlib itself, and code that holds ``marshal`` or one of the functions that use it.
    """
    if callers and callers[0].f_globals.get("__name__") in _IMPORTLIB:
        return True
    makers = _makers_of_code()
    for frame in callers:
        if frame.f_globals.get("__name__") in _IMPORTLIB:
            continue  # it imports the module that opens the file, and does not get the bytes
        if "marshal" in frame.f_code.co_names or "marshal" in frame.f_code.co_consts:
            return True
        for names in (frame.f_globals, frame.f_locals):
            for value in list(names.values()):
                if id(value) in makers:
                    return True
    return False


def _makers_of_code() -> set[int]:
    """Return the identities of the objects by which Python code can unmarshal code."""
    marshal = sys.modules["marshal"]
    pkgutil = sys.modules.get("pkgutil")
    return {
        id(made)
        for made in (
            marshal,
            marshal.load,
            marshal.loads,
            vars(_frozen_importlib_external)["_compile_bytecode"],
            getattr(pkgutil, "read_code", marshal),
        )
    }


def _place(enforcer: "Enforcer", path: str) -> tuple[str, str] | None:
    """Return the entry of the root that holds a file, and the file's path below that entry.

    The path is empty for the entry itself. A file in the root belongs to no plugin, so it goes by
    its own name, which nothing else in the root can have.
    """
    current = enforcer.resolve_settings()
    if current is None:
        return None
    roots = {current.root, _start.kernel_folder(current.root, os)}
    for place in _places(path):
        for root in roots:
            if place != root and is_below(place, root):
                plugin, _, relative = place[len(root) :].lstrip("/").partition("/")
                return plugin, _as_in_tree(relative)
    return None


def _places(path: str) -> "Iterator[str]":
    """Yield the absolute paths that a name stands for, the file that the kernel opens first.

    Then a link in the plugin folder, which leads elsewhere, and the name as it is spelled. Code
    that is named so comes through the folder, and is refused if it comes from another file.
    """
    yield _start.kernel_path(path, os)
    folder, name = os.path.split(path)
    yield os.path.join(_start.kernel_folder(folder, os), name)
    spelled = _start.spelled_path(path, os)
    if spelled is not None:
        yield spelled


def _as_in_tree(relative: str) -> str:
    """A path below a plugin's folder as the walk spells it: in UTF-8."""
    return os.fsencode(relative).decode("utf-8", "surrogateescape")


def _verified(
    enforcer: "Enforcer", plugin: str, relative: str, path: str, module: str, *, opened_as: str = ""
) -> bytes | None:
    """Return the verified bytes of a file, or None if a refusal was waived or only reported.

    Args:
        opened_as: the name by which others open the file, if what they make of it cannot be
            compared with the bytes. It must mean the very file that is verified here.
    """
    tree = enforcer.verified_tree(plugin, module)
    if enforcer.is_audited(plugin):
        return None
    if tree is not None and relative in tree.files:
        return enforcer.read(tree, relative, module, opened_as=opened_as)
    if tree is not None:
        # It was added after the tree had passed, and the tree says so now.
        now = verification.verify_plugin(tree.root, plugin, tree.digest)
        if isinstance(now, Err):
            enforcer.refuse(now.error, module)
            return None
    detail = "it is no file of a verified plugin"
    fix = "move it out of the plugin folder, or into a plugin, and lock that"
    archive = _archive_of(tree, relative)
    if archive:
        detail = "it is in an archive, and only files are verified one by one"
        fix = f"unpack {archive} into a folder of the plugin, remove it, and lock the plugin"
    at_fault = _at_fault((plugin, relative))
    enforcer.refuse(kinds.unverified_code(at_fault, path, detail, remedy=fix), module)
    return None


def _archive_of(tree: "VerifiedTree | None", relative: str) -> str:
    """Return the verified file that a path leads into, as a zip file's members; empty if none."""
    while tree is not None and "/" in relative:
        relative = relative.rpartition("/")[0]
        if relative in tree.files:
            return relative
    return ""


def _at_fault(place: tuple[str, str]) -> str | None:
    """Return the plugin that a refused file belongs to; ``None`` for a file of the root itself."""
    return place[0] if place[1] else None


def _plugin_of(module: str) -> str | None:
    """Return the plugin that a module's name belongs to; ``None`` for the package itself."""
    return module.split(".")[1] if "." in module else None
