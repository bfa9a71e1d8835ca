"""Parse ids and digests. Sets take half the time of ``re``, and need no import."""

from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.result import Result
    from codegenie.types.identifiers import BlobDigest, PluginId

MAX_PLUGIN_ID_BYTES = 255
MAX_NEW_ID_LENGTH = 128
DIGEST_LENGTH = 64

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_ID_CHARACTERS = _LOWER | frozenset("0123456789_-")
_FORBIDDEN = frozenset(map(chr, (*range(32), *range(127, 160)))) | frozenset("/\\")
_RESERVED = frozenset((".", "..", "__pycache__", ".git"))
_OWN_PREFIX = "PLUGINS."
_HEX = frozenset("0123456789abcdef")


class InvalidIdentifier:
    """A value that is not a plugin id or digest, with a description of a valid one."""

    __slots__ = ("expected", "value")

    def __init__(self, value: object, expected: str) -> None:
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"{str(self.value)[:200]!r} is not {self.expected}"

    __repr__ = __str__


def parse_plugin_id(raw: object) -> "Result[PluginId, InvalidIdentifier]":
    """Accept the name of a folder or file that a lock can name: 1 to 255 bytes of UTF-8.

    Threat: a name that leads elsewhere, hides a line in an output, or means one of the guard's own
    files. Rule 2.2: no slash, backslash, control character or surrogate, no space at either end,
    and no reserved name.

    Args:
        raw: any object, as it was parsed from a lock or a manifest.

    Returns:
        ``Ok`` with the same text as a ``PluginId``; or ``Err``, which describes a valid id.

    Example:
        match parse_plugin_id(name):
            case Ok(plugin):
                print(plugin)
            case Err(problem):
                print(problem)
    """
    if isinstance(raw, str) and (
        _is_plain(raw) or (_has_usable_characters(raw) and not is_reserved(raw))
    ):
        return Ok(raw)  # type: ignore[arg-type]  # this is where a PluginId is made
    expected = (
        "a plugin id (the name of a folder or file: at most 255 bytes of UTF-8, without '/', '\\', "
        "control characters and spaces at its ends, and no reserved name)"
    )
    return Err(InvalidIdentifier(raw, expected))


def parse_new_plugin_id(raw: object) -> "Result[PluginId, InvalidIdentifier]":
    """Accept only ``^[a-z][a-z0-9_-]{0,127}$``, the ids that ``codegenie plugins new`` makes."""
    if isinstance(raw, str) and _is_plain(raw):
        return Ok(raw)  # type: ignore[arg-type]  # this is where a PluginId is made
    expected = (
        "an id for a new plugin (a lower-case letter, then at most 127 of a-z, 0-9, '-' and '_'; "
        "it is the folder's name)"
    )
    return Err(InvalidIdentifier(raw, expected))


def _is_plain(name: str) -> bool:
    return (
        0 < len(name) <= MAX_NEW_ID_LENGTH and name[0] in _LOWER and _ID_CHARACTERS.issuperset(name)
    )


def _has_usable_characters(name: str) -> bool:
    if name.startswith(" ") or name.endswith(" ") or not _FORBIDDEN.isdisjoint(name):
        return False
    try:
        return 0 < len(name.encode("utf-8")) <= MAX_PLUGIN_ID_BYTES
    except UnicodeEncodeError:  # a surrogate
        return False


def is_reserved(name: str) -> bool:
    """Return True for names that no unit has: they are left out, or they are the guard's own."""
    return name in _RESERVED or name.startswith(_OWN_PREFIX)


def folded(name: str) -> str:
    """Return the form in which two names are compared: NFC and case folding.

    Names with one folded form are one name on a file system that folds case or normalizes.
    """
    if name.isascii():
        return name.lower()
    import unicodedata  # rarely needed, and a shared library on many builds

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def parse_blob_digest(raw: object) -> "Result[BlobDigest, InvalidIdentifier]":
    """Accept only ``^[0-9a-f]{64}$``.

    Rule: one digest has one spelling, so that comparing text compares digests.

    Args:
        raw: any object, as it was parsed from a lock.

    Example:
        digest = parse_blob_digest(hashlib.sha256(data).hexdigest()).unwrap()
    """
    if isinstance(raw, str) and len(raw) == DIGEST_LENGTH and _HEX.issuperset(raw):
        return Ok(raw)  # type: ignore[arg-type]  # this is where a BlobDigest is made
    return Err(InvalidIdentifier(raw, "a SHA-256 digest (64 lower-case hex digits)"))
