"""Read and write the times of statements and policies: UTC, whole seconds, RFC 3339.

``datetime`` would do it, but it takes longer to load than a signature takes to verify.
"""

import time

_FORM = "0000-00-00T00:00:00Z"
_EPOCH_DAY = 719468
"""Days from 0000-03-01, where a year of this calculation begins, to 1970-01-01."""

SECONDS_OF_A_DAY = 86400


def parse(text: object) -> int:
    """Return the seconds since the epoch of a time such as ``2026-11-28T18:15:45Z``.

    Raises:
        ValueError: ``text`` is of another form, or no such time exists.
    """
    if not isinstance(text, str) or len(text) != len(_FORM):
        raise ValueError(f"must be a time such as 2026-01-31T23:59:59Z, not {text!r}")
    for character, expected in zip(text, _FORM, strict=True):
        is_digit = "0" <= character <= "9"
        if is_digit != (expected == "0") or (not is_digit and character != expected):
            raise ValueError(f"must be a time such as 2026-01-31T23:59:59Z, not {text!r}")
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    seconds = _days(year, month, day) * SECONDS_OF_A_DAY + hour * 3600 + minute * 60 + second
    # The way back finds what no calendar holds: a month 13, a 30th of February, an hour 24.
    if year < 1970 or render(seconds) != text:
        raise ValueError(f"names a time that does not exist: {text!r}")
    return seconds


def render(seconds: int) -> str:
    """Return a time since the epoch as text.

    Raises:
        ValueError, OverflowError, OSError: no calendar holds it.
    """
    t = time.gmtime(seconds)
    return (
        f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}Z"
    )


def _days(year: int, month: int, day: int) -> int:
    """Return the days from the epoch to a date of the Gregorian calendar.

    The year is counted from March, so the day that leap years add is its last.
    """
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - _EPOCH_DAY
