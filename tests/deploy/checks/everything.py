"""All checks, in the order in which a fault should be named."""

from collections.abc import Callable, Iterator

from . import builtin, custom, ports, selecting, values
from .manifests import Finding, Manifests

Check = Callable[[Manifests], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "C2 built-in": builtin.check,
    "C3 custom": custom.check,
    "C4 selecting": selecting.check,
    "C4 ports": ports.check,
    "C4 values": values.check,
}


def findings(manifests: Manifests) -> list[Finding]:
    """Whatever any check finds."""
    return [finding for check in CHECKS.values() for finding in check(manifests)]
