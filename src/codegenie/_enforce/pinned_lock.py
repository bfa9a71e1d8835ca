"""Accept a lock by the statement that the installation pinned, without the modules of ``trust``.

With ``--trust-at install`` the installation verifies the signatures, and pins the statement by its
digest. So a start compares digests and checks the time. That takes less than loading ``trust``.

An attacker does not choose what is read here, because its digest is pinned.

Nothing is refused here. Whatever is not accepted, ``trust.trusted_lock`` reads and checks again. It
accepts a statement in another layout too, and only it refuses, with the reason.
"""

from codegenie import _start
from codegenie._start.own_modules import Late
from codegenie.files import read_regular
from codegenie.hashing import file_digest
from codegenie.integrity.lock import MAX_LOCK_BYTES
from codegenie.result import Err, Ok
from codegenie.types.parsers import parse_blob_digest, parse_plugin_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from codegenie.refusals.record import Refusal
    from codegenie.result import Result
    from codegenie.trust import accepted, statement
    from codegenie.trust.accepted import Vouched
    from codegenie.trust.trusted_lock import TrustedLock
else:
    accepted, statement = Late("trust.accepted"), Late("trust.statement")

# The same values as in ``trust.statement`` and ``trust.accepted``. A test compares them.
STATEMENT_NAME = "PLUGINS.statement.json"
LOCK_SUBJECT = "PLUGINS.lock"
MAX_STATEMENT_BYTES = 64 * 1024
CLOCK_TOLERANCE = 300


class PinnedLock:
    """The lock of one folder, and the pinned statement that names it. Replaces ``TrustedLock``.

    Attributes:
        path: the path of the lock.
    """

    __slots__ = ("_accepted", "_complete", "_create", "_sha256", "path")

    def __init__(self, path: str, sha256: str, create: "Callable[[], TrustedLock]") -> None:
        """Remember a path, the pinned digest of the statement, and how to create the full check."""
        self.path = path
        self._sha256 = sha256
        self._create = create
        self._complete: TrustedLock | None = None
        self._accepted: tuple[bytes, dict[str, str]] | None = None

    def read(self) -> "Result[bytes, Refusal]":
        """Return the bytes of the lock, after the check of its statement."""
        if self._complete is None:
            data = self._read()
            if data is not None:
                return Ok(data)
            # Not before: another thread may load a pack by the accepted statement now.
            self._accepted = None
            self._complete = self._create()
        return self._complete.read()

    read_again = read
    """For ``scope="plugin"``, where ``TrustedLock`` is used instead, because it remembers more."""

    def covers(self, name: str, data: bytes) -> bool:
        """Return True if the accepted statement names ``data`` under ``name``."""
        if self._accepted is not None:
            return self._accepted[1].get(name) == file_digest(data).hex()
        return self._complete is not None and self._complete.covers(name, data)

    @property
    def vouched(self) -> "Vouched | None":
        """The accepted statement; None until one was accepted."""
        if self._accepted is not None:
            return accepted.Vouched(statement.parse(self._accepted[0]), self._sha256, ())
        return None if self._complete is None else self._complete.vouched

    def _read(self) -> bytes | None:
        """Return the bytes of the lock; None if they, or the statement, are not accepted."""
        lock = read_regular(self.path, max_bytes=MAX_LOCK_BYTES)
        beside = f"{self.path.rpartition('/')[0]}/{STATEMENT_NAME}"
        said = read_regular(beside, max_bytes=MAX_STATEMENT_BYTES)
        if isinstance(lock, Err) or isinstance(said, Err):
            return None
        if file_digest(said.value).hex() != self._sha256:
            return None
        content = recognize(said.value)
        if content is None or not _start.is_builtin_of(_start.clock, "time"):
            return None
        issued, expires, subjects = content
        now = _start.clock()
        if issued > now + CLOCK_TOLERANCE or (expires is not None and now >= expires):
            return None
        if subjects[LOCK_SUBJECT] != file_digest(lock.value).hex():
            return None
        self._accepted = said.value, subjects
        return lock.value


def recognize(data: bytes) -> "tuple[int, int | None, dict[str, str]] | None":
    """Return when a statement was issued, when it expires, and its subjects.

    Every statement that this function accepts, ``trust.statement.parse`` reads in the same way.

    Returns:
        None for any other layout than that of ``trust.statement.render``, and for unusual names.
    """
    try:
        text = data.decode("ascii")
        words = text.split('"')  # at odd places: what is between quotes
        more = 4 if words[11] == "expires" else 0
        application, issued, number = words[9], words[13 + more], words[16 + more][2:-8]
        expires = f'    "expires": "{words[13]}",\n' if more else ""
        digests = words[27 + more :: 10]
        digests.reverse()
        subjects: dict[str, str] = {}
        listed = []
        for name in words[31 + more :: 10]:
            digest = digests.pop()
            if name in subjects or not _is_subject(name, digest):
                return None
            subjects[name] = digest
            listed.append(
                f'    {{\n      "digest": {{\n        "sha256": "{digest}"\n      }},\n'
                f'      "name": "{name}"\n    }}'
            )
        entries = ",\n".join(listed)
        rendered = (
            '{\n  "_type": "https://in-toto.io/Statement/v1",\n  "predicate": {\n'
            f'    "application": "{application}",\n{expires}    "issued": "{issued}",\n'
            f'    "sequence": {number}\n  }},\n'
            '  "predicateType": "urn:codegenie:plugins:v1",\n'
            f'  "subject": [\n{entries}\n  ]\n}}\n'
        )
        since, until = _seconds(issued), _seconds(words[13]) if more else None
    except (IndexError, ValueError):
        return None
    is_plain = (
        rendered == text
        and "\\" not in text
        and 0 < len(application) < 256
        and application.isprintable()
        and application == application.strip()
        and number.isdigit()
        and number[0] != "0"
        and len(number) < 16
        and LOCK_SUBJECT in subjects
        and (until is None or until > since)
    )
    return (since, until, subjects) if is_plain else None


def _is_subject(name: str, digest: str) -> bool:
    """Return True for the lock or an index of bytecode, and its SHA-256.

    Raises:
        ValueError: the name has too few or too many parts.
    """
    if isinstance(parse_blob_digest(digest), Err):
        return False
    if name == LOCK_SUBJECT:
        return True
    folder, tag, index = name.split("/")
    unit = parse_plugin_id(index[:-6])
    is_tag = tag.strip(".") != "" and tag.isprintable()
    return folder == "PLUGINS.bytecode" and is_tag and index[-6:] == ".index" and unit.is_ok()


def _seconds(text: str) -> int:
    """Return the seconds since the epoch of a time, as ``trust.times.parse`` does.

    Raises:
        ValueError: there is no such time from 1970 on, or it has another form.
    """
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    form = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    is_leap = not year % 4 and (year % 100 != 0 or not year % 400)
    last = 28 + is_leap if month == 2 else 30 + (month + month // 8) % 2
    exists = 0 < month < 13 and 0 < day <= last and hour < 24 and minute < 60 and second < 60
    if text != form or year < 1970 or not exists:
        raise ValueError(text)
    year -= month <= 2  # counted from March, so the day that leap years add is the last
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5
    return (days + day - 719469) * 86400 + hour * 3600 + minute * 60 + second
