"""Decide whether code may run that is executed as a guarded module, or from a guarded folder.

Also decide whether a source file is opened to show its lines.

The audit hook (``codegenie._start.audit_hook``) decides by itself that most code is unrelated.
``Claim.enforcer`` loads this module for all other code. The questions have the numbers that they
have there.
"""

from codegenie._start import identity_of, namespace_of
from codegenie._start.checks import is_runpy, load_frame, path_text, restore_to_front
from codegenie._start.finder import STANDARD_LIBRARY, is_at_front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType  # noqa: F401

    from codegenie._enforce.enforcer import Enforcer  # noqa: F401
    from codegenie._start.checks import Request  # noqa: F401
    from codegenie._start.finder import Claim, GuardFinder  # noqa: F401


def is_made_by_guard(finder, code, caller, request):
    # type: (GuardFinder, CodeType, FrameType | None, Request) -> bool
    """Return True if the guard made this code object, for the file that is to be executed.

    Objects are compared by identity, not by their contents, so the usual guarded import costs no
    comparison.
    """
    made = finder.made_code.get(identity_of(code))
    if made is None or made[0]() is not code:
        return False
    maker: Claim = made[1][2]
    enforcer = maker.enforcer()
    file = enforcer.file_of_code(code)
    spec, loader, name, path = request
    by_name = finder.claim_of(name)
    if file is None or (by_name is not None and by_name is not maker):
        return False  # verified code of one folder does not run under a name of another
    said = getattr(loader, "__dict__", {}).get("path")
    path = (said if type(said) is str else path_text(said)) or path
    if path is not None and path != file:
        return False  # verified code of another file
    if spec is None:  # a loader that wraps the guard's executes the code by itself
        frame = load_frame(caller)
        spec = None if frame is None else frame.f_locals.get("spec")
    enforcer.executed.add(spec)
    return True


def decide(enforcer, code, request, claimed, *, file, as_module, of_data):
    # type: (Enforcer, CodeType, Request, str, str | None, bool, bool) -> None
    """Answer questions 2 to 4 about code of a guarded name, or of a file in a guarded folder.

    Args:
        enforcer: the enforcer of the folder that the name or the file belongs to.
        request: the spec, the loader, the name and the path with which the code is executed.
        claimed: the path from which the code object claims to be compiled.
        file: the file in a guarded folder that the loader or the spec names, if there is one.
        as_module: True if a loader executes the code as the module in ``file``.
        of_data: True if ``claimed`` is no module file.

    Raises:
        PluginImportRefused: the code must not run.
    """
    spec, loader, name, path = request
    finder = enforcer.claim.finder
    rules = finder.strict_rules
    guarded = finder.claim_of(name) is not None
    if guarded and not is_at_front(finder) and not enforcer.is_own_loader(loader):  # question 2
        # Another finder has found the module, while the guard was displaced. Another finder may
        # also call the guard and return its spec, so a loader of the guard is accepted.
        restore_to_front(finder, executing=name)
        rules.refuse_past_the_guard(enforcer, str(path or claimed), name)
        return
    if not guarded and file is None and of_data:  # question 4
        rules.check_file(enforcer, claimed)
        return
    where = claimed if file is None else file
    rules.check_code(enforcer, code, where, name, as_module=as_module)  # question 3
    enforcer.executed.add(spec)


def replaced_request(enforcer, frame, name, caller, request):
    # type: (Enforcer, FrameType, str, FrameType | None, Request) -> Request
    """Return the request for the guarded module that code is about to replace.

    Args:
        frame: the frame in which importlib loads the guarded module.
        name: the name of that module.
        caller: the frame that calls ``exec``.

    Returns:
        ``request`` unchanged in two cases. Verified code of the guarded module has begun (the file
        of what that code executes decides); or a function of the standard library generates code
        for itself, as ``namedtuple`` does.
    """
    variables = frame.f_locals
    spec = variables.get("spec")
    if enforcer.executed.has(spec):
        return request
    if request[2]:
        return (spec, request[1], name, request[3])
    if _generates_code(caller, variables.get("module")):
        return request
    return spec, getattr(spec, "loader", None), name, path_text(getattr(spec, "origin", None))


_EXECUTORS = frozenset(
    ("bdb", "cProfile", "code", "doctest", "profile", "profiling.tracing", "timeit", "trace")
)
"""Modules of the standard library that execute code of their callers. Since Python 3.15, that of
``cProfile`` is ``profiling.tracing``."""


def _generates_code(caller, module):
    # type: (FrameType | None, object) -> bool
    """Return True if a function of the standard library executes code of its own making.

    A function that has the module or its namespace in a variable, as ``cProfile.runctx`` may,
    executes code of its caller. ``runpy``, importlib and the modules of ``_EXECUTORS`` do the same.
    """
    if caller is None or is_runpy(caller) or caller.f_globals.get("__name__") in _EXECUTORS:
        return False
    path = caller.f_code.co_filename
    if not path.startswith(STANDARD_LIBRARY) or "-packages/" in path:
        return False
    if module is None:
        return True  # it is being created
    namespace = namespace_of(module)
    for value in list(caller.f_locals.values()):
        if value is module or value is namespace:
            return False
    return True


def check_shown_source(finder, path, flags, caller):
    # type: (GuardFinder, str, int, FrameType | None) -> None
    """Withhold a source file that is opened to show its lines, if it has changed.

    Raises:
        PermissionError: it has changed, or the rule that compares it cannot be loaded.
    """
    if not _is_for_display(flags, caller):
        return
    claim = finder.claim_at(path)
    enforcer = None if claim is None else claim.existing_enforcer()
    if enforcer is None:
        return
    try:
        finder.strict_rules.withhold_changed_source(enforcer, path)
    except ImportError as error:  # showing a file never refuses
        raise PermissionError(13, "the plugin guard cannot compare it", path) from error


def _is_for_display(flags, caller):
    # type: (int, FrameType | None) -> bool
    """Return True if the interpreter or ``linecache`` opens a source file to show lines of it.

    Args:
        flags: zero where C code has opened the file by ``fopen`` (``_Py_fopen_obj`` in
            ``Python/fileutils.c``), because ``open`` always adds ``O_CLOEXEC``.
        caller: the frame that calls ``open``.
    """
    if caller is None:
        # An uncaught exception, whose lines 3.11 and 3.12 read in C; not a script to be run.
        return flags != 0
    if flags == 0:
        return True  # the line of a SyntaxError
    module = caller.f_globals.get("__name__")
    if module == "tokenize":
        outer = caller.f_back
        return outer is not None and outer.f_globals.get("__name__") == "linecache"
    return module == "threading"  # an exception that ends a thread, in C as well
