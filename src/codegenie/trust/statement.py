"""Read ``PLUGINS.statement.json``: it names a lock, the application, and how long it counts.

The statement is an in-toto Statement v1, so tools that know in-toto can read it. Its subjects are
the lock and the bytecode indexes that the signer compiled, each by its SHA-256. Its predicate says
where it counts and when.

The parser is strict: every key is known, every value has one form, and the file is capped. A signer
and a verifier must never read two meanings from the same signed bytes. The caller parses a
statement only after enough signatures of these very bytes have been verified.
"""

from codegenie.parsers import safe_json
from codegenie.result import Err
from codegenie.trust import times
from codegenie.types.parsers import parse_blob_digest, parse_plugin_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codegenie.parsers.safe_json import JSONValue

STATEMENT_NAME = "PLUGINS.statement.json"
LOCK_SUBJECT = "PLUGINS.lock"
"""The lock's name among the subjects, whatever the file is called where it is deployed."""

BYTECODE_FOLDER = "PLUGINS.bytecode"
INDEX_SUFFIX = ".index"

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:codegenie:plugins:v1"

MAX_STATEMENT_BYTES = 64 * 1024
MAX_STATEMENT_DEPTH = 4
MAX_APPLICATION_LENGTH = 255
"""Characters of an application's name."""

MAX_SEQUENCE = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

MAX_NEXT_SEQUENCE = 2**52
"""The largest number that a signer takes over from a file. See ``authoring.signing``."""


class Statement:
    """The content of a statement.

    Attributes:
        application: the application that the lock may run in.
        sequence: an integer that grows with every new statement.
        issued: seconds since the epoch.
        expires: seconds since the epoch, or None.
        subjects: the SHA-256, in hex, of each file by its name.
    """

    __slots__ = ("application", "expires", "issued", "sequence", "subjects")

    def __init__(
        self,
        application: str,
        sequence: int,
        issued: int,
        expires: int | None,
        subjects: "Mapping[str, str]",
    ) -> None:
        self.application = application
        self.sequence = sequence
        self.issued = issued
        self.expires = expires
        self.subjects = subjects


def parse(data: bytes) -> Statement:
    """Return the content of a statement.

    Raises:
        ValueError: the file breaks a rule of the format, with a sentence on which.
    """
    if len(data) > MAX_STATEMENT_BYTES:
        raise ValueError(f"is larger than {MAX_STATEMENT_BYTES} bytes")
    value = safe_json.parse(data, max_depth=MAX_STATEMENT_DEPTH)
    fields = keys_of(value, "the statement", ("_type", "subject", "predicateType", "predicate"))
    if fields["_type"] != TYPE:
        raise ValueError(f"is not of the type {TYPE}")
    if fields["predicateType"] != PREDICATE_TYPE:
        raise ValueError(f"has a predicate that is not of the type {PREDICATE_TYPE}")
    predicate = keys_of(
        fields["predicate"],
        "the predicate",
        ("application", "sequence", "issued"),
        optional=("expires",),
    )
    issued = time_of(predicate["issued"], "issued")
    expires = time_of(predicate["expires"], "expires") if "expires" in predicate else None
    if expires is not None and expires <= issued:
        raise ValueError("expires before it was issued")
    return Statement(
        application_of(predicate["application"]),
        sequence_of(predicate["sequence"]),
        issued,
        expires,
        _subjects(fields["subject"]),
    )


def render(statement: Statement) -> bytes:
    """Return the one way a statement is written: sorted, indented by two, newline-terminated."""
    quote = safe_json.quote
    subjects = ",\n".join(
        f'    {{\n      "digest": {{\n        "sha256": "{statement.subjects[name]}"\n      }},\n'
        f'      "name": {quote(name)}\n    }}'
        for name in sorted(statement.subjects)
    )
    expires = (
        ""
        if statement.expires is None
        else f'    "expires": "{times.render(statement.expires)}",\n'
    )
    return (
        f'{{\n  "_type": "{TYPE}",\n'
        f'  "predicate": {{\n    "application": {quote(statement.application)},\n{expires}'
        f'    "issued": "{times.render(statement.issued)}",\n'
        f'    "sequence": {statement.sequence}\n  }},\n'
        f'  "predicateType": "{PREDICATE_TYPE}",\n'
        f'  "subject": [\n{subjects}\n  ]\n}}\n'
    ).encode("ascii")


def keys_of(
    value: "JSONValue", what: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> "dict[str, JSONValue]":
    """Return an object that has all the required keys and no unknown one.

    Raises:
        ValueError: it has not, or ``value`` is no object.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object")
    for key in required:
        if key not in value:
            raise ValueError(f"{what} has no {key!r}")
    for key in value:
        if key not in required and key not in optional:
            raise ValueError(f"{what} has an unknown key {key[:200]!r}")
    return value


def application_of(value: "JSONValue") -> str:
    """Return the name of an application.

    Raises:
        ValueError: it is empty, too long, or cannot be printed on one line.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_APPLICATION_LENGTH:
        raise ValueError(f"application must be a text of 1 to {MAX_APPLICATION_LENGTH} characters")
    if not value.isprintable() or value != value.strip():
        raise ValueError("application must be printable, without a space at either end")
    return value


def sequence_of(value: "JSONValue") -> int:
    """Return a sequence number.

    Raises:
        ValueError: it is not an integer from 1 on that every JSON reader keeps exactly.
    """
    # A bool is an int in Python, and 1.0 is a float: neither is an integer of JSON.
    if type(value) is not int or not 1 <= value <= MAX_SEQUENCE:
        raise ValueError(f"sequence must be an integer from 1 to {MAX_SEQUENCE}")
    return value


def time_of(value: "JSONValue", what: str) -> int:
    """Return a time in seconds since the epoch.

    Raises:
        ValueError: it has another form, with the name of the field.
    """
    try:
        return times.parse(value)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None


def _subject_name(value: "JSONValue") -> str:
    """Return the name of a subject: the lock, or an index of bytecode beside it.

    Raises:
        ValueError: it is another one. Threat: a name with a line feed, or that leads elsewhere,
            makes ``sha256sum -c`` check other files than the guard.
    """
    if not isinstance(value, str):
        raise ValueError("the name of a subject must be a text")
    if value == LOCK_SUBJECT:
        return value
    folder, _, rest = value.partition("/")
    tag, _, index = rest.partition("/")
    unit = index.removesuffix(INDEX_SUFFIX)
    is_tag = tag.strip(".") != "" and tag.isascii() and tag.isprintable() and "\\" not in tag
    if folder != BYTECODE_FOLDER or not is_tag or unit == index:
        raise ValueError(f"has a subject that is neither the lock nor an index: {value[:200]!r}")
    parsed = parse_plugin_id(unit)
    if isinstance(parsed, Err):
        raise ValueError(f"has the index of an impossible unit: {parsed.error}")
    return value


def _subjects(value: "JSONValue") -> "dict[str, str]":
    if not isinstance(value, list):
        raise ValueError("subject must be a list")
    subjects: dict[str, str] = {}
    for item in value:
        fields = keys_of(item, "a subject", ("name", "digest"))
        name = _subject_name(fields["name"])
        if name in subjects:
            raise ValueError(f"names the subject {name[:200]!r} twice")
        digest = parse_blob_digest(
            keys_of(fields["digest"], "the digest of a subject", ("sha256",))["sha256"]
        )
        if isinstance(digest, Err):
            raise ValueError(f"the digest of the subject {name[:200]!r}: {digest.error}")
        subjects[name] = digest.value
    if LOCK_SUBJECT not in subjects:
        raise ValueError(f"does not name {LOCK_SUBJECT}")
    return subjects
