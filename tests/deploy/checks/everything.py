"""All checks, in the order in which a fault should be named."""

from collections.abc import Callable, Iterator

from . import (
    alerts,
    broker_rights,
    builtin,
    code,
    custom,
    images,
    network,
    platform,
    pods,
    ports,
    scaling,
    selecting,
    values,
)
from .manifests import Finding, Manifests

Check = Callable[[Manifests], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "C2 built-in": builtin.check,
    "C3 custom": custom.check,
    "C4 selecting": selecting.check,
    "C4 ports": ports.check,
    "C4 values": values.check,
    "C5 pods": pods.check,
    "C5 scaling": scaling.check,
    "C5 network": network.check,
    "C5 images": images.check,
    "C5 platform": platform.check,
    "C6 code": code.check,
    "C7 rights": broker_rights.check,
    "C8 alerts": alerts.check,
}


def findings(manifests: Manifests) -> list[Finding]:
    """Whatever any check finds."""
    return [finding for check in CHECKS.values() for finding in check(manifests)]
