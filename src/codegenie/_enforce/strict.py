"""Check code that reaches the interpreter without the guard's own loaders (strict mode).

The audit hook (``codegenie._start.audit_hook``) calls these rules when code from the plugin folder,
or a module under a guarded name, is about to run. They check, in this order:

1. the plugin that the file belongs to must pass, as for an import;
2. the file must be in the verified tree;
3. the file must have the verified bytes (``reading``);
4. the code must equal the code to which those bytes compile (``code_objects``).

So a debugger, coverage or ``spec_from_file_location`` on an unchanged file works. Forged bytecode,
a changed file and an added file are refused. Machine code and bytecode cannot be compared with the
hashed source, so they are always refused. No function here runs under the global import lock.
"""

import _frozen_importlib_external
import os
import sys
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie._start.folder_paths import (
    is_below,
    kernel_folder,
    kernel_path,
    spelled_path,
)
from codegenie._start.own_modules import Late, guard_load_error
from codegenie.files import as_locked
from codegenie.integrity import verification
from codegenie.integrity.reading import read_verified
from codegenie.result import Err

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, FrameType

    from codegenie._enforce import refusal_report
    from codegenie._enforce.enforcer import Enforcer
    from codegenie._start.finder import Claim
    from codegenie.integrity.verified_tree import VerifiedTree
    from codegenie.refusals import exceptions, kinds
else:
    refusal_report = Late("_enforce.refusal_report")
    exceptions = Late("refusals.exceptions")
    kinds = Late("refusals.kinds")

_FRAMES_TO_LOADER = 8
"""The number of frames to search: ``get_data``, and wrappers that a subclass may add."""

_IMPORTLIB = (
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    # The names of the same modules before `importlib` is imported.
    "_frozen_importlib",
    "_frozen_importlib_external",
)


def check_code(
    enforcer: "Enforcer",
    code: "CodeType",
    path: str,
    module: str,
    *,
    as_module: bool,
) -> None:
    """Refuse module code that is not compiled from verified bytes.

    Args:
        path: the file that the code comes from, or claims to come from.
        module: the name under which importlib executes the code; empty for other callers.
        as_module: True if a loader, or ``runpy``, runs the code as the module in ``path``. The code
            must then equal that whole module, as this interpreter compiles it.

    Raises:
        PluginImportRefused: the code is not from verified bytes. Audit mode only reports that.
    """
    place = unit_of_path(enforcer, path)
    if place is None:
        _refuse_by_name(enforcer, path, module)
        return
    plugin, relative = place
    if not as_module and _is_made_up(enforcer, plugin, relative, path):
        return
    data = _verified(enforcer, plugin, relative, path, module or path)
    if data is not None and not _is_code_of_file(enforcer, place, data, code, as_module=as_module):
        detail = f"it is not what the verified bytes of {relative} compile to"
        if enforcer.claim.claims(module):
            fix = "exclude the plugins from the tracer or import hook that makes other code of them"
        else:
            fix = (
                f"{_advice(enforcer)}; delete bytecode that was planted; "
                "give code that is generated a name of its own, such as <generated>"
            )
        _refuse(enforcer, plugin, path, detail, fix, module or path)


def _refuse_by_name(enforcer: "Enforcer", path: str, module: str) -> None:
    """Refuse code of a file outside this folder under a name that this folder claims."""
    unit = enforcer.unit_of_module(module)
    if enforcer.claim.claims(module) and not enforcer.is_audited(unit):
        detail = f"it is not in the plugin folder, and would run as {module}"
        fix = "give it another name, or take its folder off sys.path"
        _refuse(enforcer, unit, path, detail, fix, module)
    elif enforcer.guard.claim_at(path) is enforcer.claim and enforcer.settings is not None:
        # Test again, because the root is known now. If the two tests differ, fail closed.
        detail = "it is not known which file of the plugin folder it is"
        _refuse(enforcer, None, path, detail, "name it by its path, without links", path)


def _refuse(
    enforcer: "Enforcer", unit: str | None, path: str, detail: str, fix: str, module: str
) -> None:
    refused = kinds.unverified_code(unit, path, detail, remedy=fix, package=enforcer.subject)
    enforcer.refuse(refused, module)


def _advice(enforcer: "Enforcer") -> str:
    """Return the way of loading a module of this folder that the guard serves."""
    package = enforcer.claim.package
    if package is None:
        return "load it by guard.spec_from_file_location"
    return f"import it as {package}.<id>.<module>" if package else "import it by its own name"


def _is_code_of_file(
    enforcer: "Enforcer",
    place: tuple[str, str],
    data: bytes,
    code: "CodeType",
    *,
    as_module: bool,
) -> bool:
    """Return True if ``code`` equals the code of a verified file.

    A pack has that code already, in a tenth of the time of compiling. Code that differs may still
    be what the bytes compile to, at another optimization level for example.

    Args:
        data: the verified bytes of the file.
    """
    # Loaded here, because it is rarely needed.
    try:
        from codegenie.integrity import code_objects
    except ImportError as error:
        raise guard_load_error(error) from error

    plugin, relative = place
    tree = enforcer.verified.get(plugin)
    pack = None if tree is None else enforcer.pack(tree)
    if pack is not None and pack.has(relative):
        packed = pack.code_to_compare(relative, code.co_filename)
        if packed is not None and code_objects.is_code_of(packed, code, as_module=as_module):
            return True
    return code_objects.compiles_to(data, code, as_module=as_module)


def _is_made_up(enforcer: "Enforcer", plugin: str, relative: str, path: str) -> bool:
    """Return True if generated code has a relative name that no file has, on disk or in the lock.

    Template engines give their code such names (``index_html.generated.py``). The name means a file
    of the plugin only because the working directory is the plugin's folder. An absolute name is
    compared with the tree, because an attacker can remove a file after a program has read it.
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

    ``importlib.reload`` raises no audit event of its own, and before Python 3.15
    ``importlib.import_module`` raises none either. So the displacement is found here.

    Raises:
        PluginImportRefused: always, except in audit mode, which only reports the module.
    """
    unit = enforcer.unit_of_module(module)
    if not enforcer.is_audited(unit):
        detail = f"{module} was found by another finder, while the guard was not first"
        fix = "find what displaces it on sys.meta_path; it is first again, so repeat the import"
        _refuse(enforcer, unit, path, detail, fix, module)


def displaced(enforcers: "Sequence[Enforcer]", by: str, *, removed: bool, executing: str) -> None:
    """Report that the guard was displaced, and remove guarded modules that others have found.

    The next import of a removed module gets it from the guard. A namespace package gets into
    ``sys.modules`` without an ``exec`` event, so it is found here only.

    Args:
        executing: the module that is being executed right now. It stays, because importlib pops it
            and fails if it is missing (``_exec`` in ``Lib/importlib/_bootstrap.py``).
    """
    for enforcer in enforcers:
        if enforcer.mode == "enforce":
            for name, module in _guarded_modules(enforcer.claim):
                if name != executing and _is_found_by_another(enforcer, module):
                    _forget(name, module)
    refusal_report.displaced(by, removed=removed)


def refuse_unguarded(claim: "Claim") -> None:
    """Refuse to guard a folder if modules of the names that it claims are already loaded.

    Raises:
        GuardTooLate: with the names of the modules.
    """
    unguarded = [name for name, module in _guarded_modules(claim) if not _is_served(module)]
    if unguarded:
        raise exceptions.GuardTooLate(sorted(unguarded))


def _guarded_modules(claim: "Claim") -> "list[tuple[str, object]]":
    """Return the claimed names in ``sys.modules``, and the object under each."""
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if isinstance(name, str) and claim.claims(name) and module is not None
    ]


def _is_served(module: object) -> bool:
    """Return True if a loader of the guard made a module."""
    spec = _spec_of(module)
    return spec is not None and _is_own_loader(spec.loader)


def _is_own_loader(loader: object) -> bool:
    return type(loader).__module__.startswith(("codegenie._start.", "codegenie._enforce."))


def _is_found_by_another(enforcer: "Enforcer", module: object) -> bool:
    """Return True if a finder other than the guard has found a module on disk.

    Returns False for an object that an application or a plugin has put into ``sys.modules`` itself:
    a test stub, an object that is no module, a module of another name, or a module whose spec names
    neither a file nor a folder.
    """
    spec = _spec_of(module)
    if spec is None or not enforcer.claim.claims(spec.name) or _is_own_loader(spec.loader):
        return False
    if enforcer.executed.has(spec):
        return False  # its verified code has run, even if a wrapper replaced its loader
    folders = spec.submodule_search_locations
    return spec.has_location or (folders is not None and folders != [])


def _spec_of(module: object) -> ModuleSpec | None:
    """Return the spec of a module; None for an object that is no module, or has none.

    Reads no attribute, because that would execute a module of ``importlib.util.LazyLoader``.
    """
    if not _start.is_instance(module, _start.MODULE):
        return None
    spec = _start.namespace_of(module).get("__spec__")
    return spec if _start.is_instance(spec, ModuleSpec) else None


def _forget(name: str, module: object) -> None:
    """Remove a module from ``sys.modules`` and from its parent, to which importlib has bound it."""
    sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    holder = sys.modules.get(parent)
    if type(holder) is _start.MODULE and vars(holder).get(child) is module:
        delattr(holder, child)


def check_file(enforcer: "Enforcer", path: str) -> None:
    """Refuse a file that is not verified, and whose code cannot be compared with its bytes.

    The file is a library about to be loaded, a script about to be run by its path, or a data file
    from which code was generated (a template, a ``.pth`` file, a script without ``.py``). Code
    generated from a data file has no source to compare with, so verify the data file. Does not
    check what is opened next: the caller opens the file again, and a change in between is missed.

    Raises:
        PluginImportRefused: the file is not in a verified tree, or has changed since.
    """
    place = unit_of_path(enforcer, path)
    if place is not None:
        _verified(enforcer, *place, path, path, opened_as=path)


def check_machine_code(enforcer: "Enforcer", path: str, module: str) -> None:
    """Check an extension module that another loader than the guard's is about to load by its path.

    Called for a file in the plugin folder, and for every file under a guarded name. Threat: the
    dynamic linker opens the file again after a check. Rule: load a sealed copy of the verified
    bytes first, which the linker then takes for that path (``library_loads``). If that is not
    possible, or if the module has a guarded name, refuse.

    Raises:
        PluginImportRefused: the file is not verified, or only the guard's own loader can load it.
            Audit mode only reports that.
        ImportError: the linker cannot load it, as without the guard.
    """
    place = unit_of_path(enforcer, path)
    if place is not None and not enforcer.claim.claims(module):
        try:
            from codegenie._enforce import library_loads
        except ImportError as error:
            raise guard_load_error(error) from error
        if library_loads.load_module_copy(enforcer, path, module):
            return
    unit = enforcer.unit_of_module(module) if place is None else _at_fault(place)
    if not enforcer.is_audited(unit):
        detail = "machine code that is loaded from the disk can be exchanged at any time"
        fix = "load it by guard.spec_from_file_location"
        if enforcer.claim.package is not None:
            fix += f", or {_advice(enforcer)}"
        _refuse(enforcer, unit, path, detail, fix, module)


def refuse_at_the_end(enforcer: "Enforcer", path: str, module: str) -> None:
    """Refuse code of the plugin folder, or of a guarded module, during a shutdown.

    Raises:
        PluginImportRefused: always, except in audit mode, which only reports the code.
    """
    place = unit_of_path(enforcer, path)
    unit = enforcer.unit_of_module(module) if place is None else place[0]
    if not enforcer.is_audited(unit):
        detail = "nothing can be verified any longer while the interpreter ends"
        fix = "run it earlier, for example in a function that atexit calls"
        _refuse(enforcer, unit, path, detail, fix, module or path)


def withhold_changed_source(enforcer: "Enforcer", path: str) -> None:
    """Raise for a changed file, so it is not shown as the source of verified code.

    ``linecache`` reads every file that exists, and treats an ``OSError`` as "no source". This
    function neither refuses nor reports a plugin, and verifies no tree.

    Raises:
        PermissionError: the file belongs to a verified tree and has changed since, or it is the
            ``__init__.py`` of the plugin folder, which never runs.
    """
    if enforcer.mode != "enforce" or not enforcer.verified:
        return
    place = unit_of_path(enforcer, path)
    if place == ("__init__.py", ""):
        raise PermissionError(13, "the file never runs under the guard", path)
    tree = None if place is None else enforcer.verified.get(place[0])
    if place is None or tree is None or place[1] not in tree.files:
        return
    if isinstance(read_verified(tree, place[1]), Err):
        raise PermissionError(13, "the file has changed since the guard verified it", path)


def check_bytecode(enforcer: "Enforcer", path: str, frame: "FrameType | None") -> None:
    """Refuse to open bytecode of the plugin folder in order to run it.

    Threat: bytecode can claim to come from any file, so the audit hook could not trace the loaded
    code to the plugin folder. Rule: refuse to open the file. A program that only copies the file,
    such as a backup, may open it.

    Args:
        frame: the innermost frame of the hook; its callers open the file.

    Raises:
        PluginImportRefused: a loader of bytecode opens it.
        PermissionError: ``SourceLoader.get_code`` looks for a cache and continues with the source,
            or a program opens it that can unmarshal code.
    """
    place = unit_of_path(enforcer, path)
    if place is None or enforcer.is_audited(place[0]):
        return
    callers = list(_callers(frame))
    detail = "bytecode is in no digest"
    if any(map(_runs_bytecode, callers)):
        fix = f"delete it; for what it was made from, {_advice(enforcer)}"
        _refuse(enforcer, _at_fault(place), path, detail, fix, path)
    elif enforcer.mode == "enforce" and _can_make_code(callers):
        raise PermissionError(13, f"the plugin guard does not let it be read: {detail}", path)


def _callers(frame: "FrameType | None") -> "Iterator[FrameType]":
    """Yield the frames that open a file, innermost first, without the frames of the hook."""
    for _ in range(_FRAMES_TO_LOADER):
        if frame is None:
            return
        if not str(frame.f_globals.get("__name__")).startswith("codegenie._start."):
            yield frame
        frame = frame.f_back


def _runs_bytecode(frame: "FrameType") -> bool:
    """Return True if the frame is ``SourcelessFileLoader.get_code`` or the like in ``runpy``."""
    return frame.f_code is _start.sourceless or (
        frame.f_code.co_name == "_get_code_from_file" and frame.f_globals.get("__name__") == "runpy"
    )


def _can_make_code(callers: "Sequence[FrameType]") -> bool:
    """Return True if a caller could turn the bytes of a ``.pyc`` into code.

    Checks for importlib itself, and for code that refers to ``marshal`` or to a function that uses
    it.
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


def unit_of_path(enforcer: "Enforcer", path: str) -> tuple[str, str] | None:
    """Return the entry of the root that contains a file, and the file's path below that entry.

    A file in the root is its own entry. If it is a unit, the path is its name; otherwise the file
    belongs to no unit, and the path is empty, as for the entry itself.
    """
    current = enforcer.resolve_settings()
    if current is None:
        return None
    roots = {current.root, kernel_folder(current.root, os)}
    for place in _places(enforcer, path):
        for root in roots:
            if place != root and is_below(place, root):
                below = place[len(root) :].lstrip("/")
                if not enforcer.claim.guards_entry(below.partition("/")[0]):
                    continue  # the other path may lead to a unit of a shared folder
                unit, _, relative = as_locked(below).partition("/")
                if not relative and enforcer.is_file_unit(unit):
                    relative = unit
                return unit, relative
    return None


def _places(enforcer: "Enforcer", path: str) -> "Iterator[str]":
    """Yield the absolute paths that a name can mean, first the file that the kernel opens.

    The second is the path below the root, if a mount or another spelling is a second name of the
    root. The others are a link in the plugin folder that leads elsewhere, the name as it is
    spelled, and a link in the plugin folder behind other links. Code with such a name comes through
    the folder, so it is refused if it is from another file.
    """
    opened = kernel_path(path, os)
    yield opened
    yield enforcer.guard.real_path(opened)
    folder, name = os.path.split(path)
    yield os.path.join(kernel_folder(folder, os), name)
    spelled = spelled_path(path, os)
    if spelled is not None:
        yield spelled
    linked = enforcer.guard.linked_path(path)
    if linked:
        yield linked


def _verified(
    enforcer: "Enforcer", plugin: str, relative: str, path: str, module: str, *, opened_as: str = ""
) -> bytes | None:
    """Return the verified bytes of a file; None if audit mode has reported a refusal.

    Args:
        opened_as: the name by which the caller opens the file, if the result cannot be compared
            with the bytes. The name must lead to the very file that is verified here.
    """
    tree = enforcer.verified_tree(plugin, module)
    if enforcer.is_audited(plugin):
        return None
    if tree is not None and relative in tree.files:
        return enforcer.read(tree, relative, module, opened_as=opened_as)
    if tree is not None:
        # The file was added after the tree passed. Verifying the tree again reports it.
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
    _refuse(enforcer, _at_fault((plugin, relative)), path, detail, fix, module)
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
