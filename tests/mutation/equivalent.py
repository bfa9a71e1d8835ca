"""The mutants that change nothing a test could notice, each with the reason.

An entry that matches no mutant is an error, so an entry goes when its code does.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.mutation.mutants import Name

EQUIVALENT: dict[Name, str] = {
    Name("hashing", "", "number", "256"): (
        "OpenSSL is loaded 1 KiB later, and makes the same digests as the other implementation."
    ),
    Name("integrity.large_files", "", "number", "1024", 2): (
        "A second thread begins at slightly larger files, and the digests are the same."
    ),
    Name("integrity.file_list", "_lines_in", "number", "2"): (
        "The separator begins with two blanks, so the search finds them or earlier ones first."
    ),
    Name("trust.base64_text", "decode", "comparison", "place + 4 > len(body)"): (
        "A body that ends with four characters has no padding to add."
    ),
    Name("_enforce.folders", "place_of_finder", "number", "0"): (
        "The place is looked up at each call, and is the one that was remembered."
    ),
    Name("_enforce.loaded_objects", "LoadedObject._text_of", "number", "1"): (
        "One byte more is allocated than the text and the zero byte after it need."
    ),
    Name(
        "_enforce.folders",
        "resolve",
        "raise",
        'raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)',
    ): "refuse_file raises first, unless another thread changes the mode in between.",
    Name("_start", "", "comparison", "sys.version_info >= (3, 15)"): (
        "The version has five items, so it is never equal to two."
    ),
    Name(
        "_start.file_checks",
        "check_bytecode",
        "raise",
        'raise PermissionError(13, "the plugin guard does not let it be read", name)',
    ): "Only another thread comes here, and it makes an enforcer that raises the same error.",
    Name("_start.own_modules", "", "number", "0"): (
        "The default is for a system without O_CLOEXEC, and no test runs on one."
    ),
    Name("_start.shutdown", "_folders_of_links", "number", "1", 2): (
        "This skips only a second slash, and a path that ends with a slash is never read as a link."
    ),
    Name(
        "_enforce.names",
        "requested",
        "comparison",
        'frame.f_code.co_name == "_find_and_load"',
    ): (
        "_find_and_load calls _find_and_load_unlocked, whose variable has the same name, and no "
        "other function of importlib has the name of a module further down."
    ),
    Name("_enforce.private_copies", "Mirror.__init__", "assignment", 'self._folder = ""'): (
        "The folder is set when the mirror is entered, and nothing uses it before."
    ),
    Name("trust.ed25519", "_decode", "arithmetic", "y * y % _P"): (
        "The square is a larger number of the same class, and each later step reduces."
    ),
    Name("trust.ed25519", "_odd_multiples", "arithmetic", "2 ** (_WINDOW - 2) - 1"): (
        "The table has two more multiples, which no digit selects."
    ),
}


def unmatched(names: Iterable[Name]) -> list[Name]:
    """Return the entries that name no mutant."""
    return sorted(EQUIVALENT.keys() - set(names), key=str)
