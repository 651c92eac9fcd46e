"""Kubernetes' quantities: `250m`, `384Mi`."""

import re

_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>|m|k|M|G|T|Ki|Mi|Gi|Ti)")
_FACTORS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGT")
}


def amount(text: str) -> float | None:
    """The quantity as a number; None where it is none (`384MB`), which no schema tells."""
    match = _QUANTITY.fullmatch(str(text))
    return float(match["number"]) * _FACTORS[match["unit"]] if match else None
