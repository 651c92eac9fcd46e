"""What may be said of an order: SAP quotes what it refuses, and the customer's name must not reach logs and reasons."""

import re

from eventbus.contract import headers
from eventbus.department.ledger import DETAIL_CHARACTERS_MAX

MESSAGE_VARIABLE_UNITS = 50
"""UTF-16 units of a variable in a message of SAP (SYMSGV): a longer name is quoted cut off."""


def redacted(text: str, name: str) -> str:
    """The text as one line that fits into the ledger, without the customer's name, however SAP cuts and spells it."""
    return one_line(_pattern(name).sub("[name]", text))


def one_line(text: str) -> str:
    """The text as a reason: one line, printable, cut to what the ledger holds."""
    return headers.one_line(text)[:DETAIL_CHARACTERS_MAX]


def _pattern(name: str) -> re.Pattern[str]:
    whole = _before(name) + _words(name) + _after(name)
    variable = name.encode("utf-16-le")[: 2 * MESSAGE_VARIABLE_UNITS].decode("utf-16-le", "ignore")
    cut = "" if variable == name else f"|{_before(name)}{_words(variable)}"
    return re.compile(whole + cut, re.IGNORECASE)


def _words(name: str) -> str:
    return r"\s+".join(map(re.escape, name.split()))


def _before(name: str) -> str:
    return r"(?<!\w)" if _is_set_apart(name[0]) else ""


def _after(name: str) -> str:
    return r"(?!\w)" if _is_set_apart(name[-1]) else ""


def _is_set_apart(character: str) -> bool:
    """Whether words of its script stand apart: a name of one letter is in every word, one of Han in none alone."""
    return character.isdecimal() or character.lower() != character.upper()
