"""Customers without their names: enough to tell one from another, and one who comes back."""

import hashlib
import hmac
import unicodedata

PSEUDONYM_BYTES = 8
"""As a database's bigint. Among a million customers two share one with a probability of 1 in 37 million."""


def pseudonym(name: str, key: bytes) -> int:
    """The same number for every spelling of a name that people take for the same: case, spacing, Unicode form.

    HMAC-SHA256 of the name, cut to 64 bits, signed. Without the key nobody can try names against it.
    """
    spelled = " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())
    digest = hmac.digest(key, spelled.encode(), hashlib.sha256)
    return int.from_bytes(digest[:PSEUDONYM_BYTES], "big", signed=True)


def fingerprint(key: bytes) -> str:
    """What tells one key from another and says nothing about it."""
    return hmac.digest(key, b"fingerprint of the customer key", hashlib.sha256).hex()[:32]
