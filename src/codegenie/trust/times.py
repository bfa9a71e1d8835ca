"""Read and write the times of statements and policies: UTC, whole seconds, RFC 3339.

``datetime`` would do it, but it takes longer to load than a signature takes to verify.
"""

_FORM = "0000-00-00T00:00:00Z"
_EPOCH_DAY = 719468
"""Days from 0000-03-01, where a year of this calculation begins, to 1970-01-01."""

SECONDS_OF_A_DAY = 86400
_DAYS_OF_AN_ERA = 146097


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
    if year >= 1970 and seconds >= 0 and render(seconds) == text:
        return seconds
    raise ValueError(f"names a time that does not exist: {text!r}")


def render(seconds: int) -> str:
    """Return a time since the epoch as text, for the years 1970 to 9999.

    Does not call ``time.gmtime``, because applications replace it to freeze the time.

    Raises:
        ValueError: the time is in another year.
    """
    days, second = divmod(seconds, SECONDS_OF_A_DAY)
    # Years of this calculation begin in March, and an era has 400 of them.
    era, day_of_era = divmod(days + _EPOCH_DAY, _DAYS_OF_AN_ERA)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = (month_from_march + 2) % 12 + 1
    year = era * 400 + year_of_era + (month <= 2)
    if not 1970 <= year <= 9999:
        raise ValueError(f"the year {year} is not one from 1970 to 9999")
    hour, rest = divmod(second, 3600)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{rest // 60:02}:{rest % 60:02}Z"


def _days(year: int, month: int, day: int) -> int:
    """Return the days from the epoch to a date of the Gregorian calendar.

    The year is counted from March, so the day that leap years add is its last.
    """
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - _EPOCH_DAY
