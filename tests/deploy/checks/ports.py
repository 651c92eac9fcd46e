"""C4: ports that are named exist: of probes, Services, routes, monitors, policies."""

from collections.abc import Iterator
from typing import Any

from .manifests import Finding, Manifests, Object, containers, label, pod_labels, pod_of, selects
from .selecting import OPERATORS_PODS

OPERATORS_PORTS = ({"prometheus-tls", 5671, 15671, 15691, 4369, 25672, 6000, 35672}, {"metrics", 5432, 8000, 9187})
"""Those that RabbitMQ's and CloudNativePG's operators open, in the order of `OPERATORS_PODS`; of ranges the first."""

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Whatever names a port names one that somebody opens."""
    for workload in manifests.of("Deployment"):
        for container in containers(workload):
            for probe in PROBES:
                handler = container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket")
                if handler and handler["port"] not in _opened(container):
                    yield Finding("C4 probe port", label(workload), f"{probe}: nothing listens on {handler['port']}")
    for service in manifests.of("Service"):
        wanted = {port.get("targetPort", port["port"]) for port in service["spec"]["ports"]}
        yield from _missing("C4 service port", service, wanted, manifests, {"matchLabels": service["spec"]["selector"]})
    for route in manifests.of("HTTPRoute"):
        yield from _route(manifests, route)
    for monitor in manifests.of("PodMonitor"):
        wanted = {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]}
        yield from _missing("C4 monitor port", monitor, wanted, manifests, monitor["spec"]["selector"])
    for monitor in manifests.of("ServiceMonitor"):
        wanted = {each["port"] for each in monitor["spec"]["endpoints"]}
        yield from _missing("C4 monitor port", monitor, wanted, manifests, monitor["spec"]["selector"])
    for policy in manifests.of("NetworkPolicy"):
        wanted = {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]}
        yield from _missing("C4 policy port", policy, wanted, manifests, policy["spec"]["podSelector"])


def opened_by(workload: Object) -> set[Any]:
    """Names and numbers of the ports of its pods."""
    return {port for container in pod_of(workload)["containers"] for port in _opened(container)}


def _opened(container: Object) -> set[Any]:
    ports = container.get("ports", [])
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports if "name" in port}


def _missing(title: str, each: Object, wanted: set[Any], manifests: Manifests, selector: Object) -> Iterator[Finding]:
    found: set[Any] = set()
    for workload in manifests.of("Deployment"):
        if selects(selector, pod_labels(workload)):
            found |= opened_by(workload)
    for labels, ports in zip(OPERATORS_PODS, OPERATORS_PORTS, strict=True):
        if selects(selector, labels):
            found |= ports
    for port in sorted(wanted - found, key=str):
        yield Finding(title, label(each), f"none of its pods has a port {port}")


def _route(manifests: Manifests, route: Object) -> Iterator[Finding]:
    for rule in route["spec"]["rules"]:
        for backend in rule["backendRefs"]:
            service = manifests.named("Service", backend["name"])
            if service is None or backend["port"] not in {port["port"] for port in service["spec"]["ports"]}:
                yield Finding("C4 route port", label(route), f"there is no Service {backend['name']}:{backend['port']}")
