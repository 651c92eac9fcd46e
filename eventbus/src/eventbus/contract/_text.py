"""Characters and times as the contract writes them."""

import re
import unicodedata
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def rfc3339(moment: datetime) -> str:
    """The moment in UTC with milliseconds, `2026-11-24T07:19:46.123Z`. Raises ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("a time on the bus needs a zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: object) -> datetime:
    """The moment that an RFC 3339 string names, in UTC. Raises ValueError for anything else."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("expected an RFC 3339 time with a zone, such as 2026-11-24T07:19:46.123Z")
    seconds, dot, rest = text.upper().replace(" ", "T").partition(".")
    if dot:  # fromisoformat takes six digits at most; nanoseconds are cut, not rounded
        digits = re.match(r"\d+", rest)
        assert digits is not None
        text = f"{seconds}.{digits.group()[:6].ljust(6, '0')}{rest[digits.end() :]}"
    else:
        text = seconds
    leap_second = text[17:19] == "60"
    try:
        return datetime.fromisoformat(f"{text[:17]}59{text[19:]}" if leap_second else text).astimezone(UTC)
    except OverflowError:
        raise ValueError("the time lies outside the years 1 to 9999 in UTC") from None


def check_text(text: str) -> str:
    """The text itself. Raises ValueError for a character that a CloudEvents string may not hold."""
    if refused := refused_character(text):
        raise ValueError(f"must not contain control characters or lone surrogates, contains {refused}")
    return text


def refused_character(text: str) -> str | None:
    """The first control character (Unicode Cc) or lone surrogate in the text as `U+0007`, or None."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"U+{ord(character):04X}"
    return None
