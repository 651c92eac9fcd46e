"""C5: policies permit exactly the flows that are needed: those to the addresses in the settings, and metrics.

A flow inside the namespace needs both its ends: an egress rule of who begins it, an ingress rule of who answers.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from .manifests import NAMESPACE, PART_OF, Finding, Manifests, Object, containers, pod_labels, selects
from .ports import opened_by
from .selecting import OPERATORS_PODS

Flow = tuple[str, str, object]
"""From, to, port."""

BROKER, DATABASE = "rabbitmq", "postgres"
_PORTS = {"http": 80, "https": 443, "ipp": 631, "ipps": 631, "amqps": 5671, "postgresql": 5432}
_OF_OPERATORS = {
    *((BROKER, BROKER, port) for port in (4369, 25672, 6000, 35672)),
    *((DATABASE, DATABASE, port) for port in (5432, 8000)),
}
_FROM_NAMESPACES = {
    *((f"namespace {n}", BROKER, 15671) for n in ("rabbitmq-system", "keda")),
    ("namespace monitoring", BROKER, 15691),
    *(("namespace cnpg-system", DATABASE, port) for port in (5432, 8000)),
    ("namespace monitoring", DATABASE, 9187),
}
_API_SERVER_AND_BACKUPS = {(DATABASE, "outside", 443), (DATABASE, "outside", 6443)}


def check(manifests: Manifests) -> Iterator[Finding]:
    """Default deny, and then each flow: needed and refused, or permitted and not needed."""
    policies = list(manifests.of("NetworkPolicy"))
    if not any(_denies_all(policy) for policy in policies):
        yield Finding("C5 network", "NetworkPolicy", "nothing is denied by default")
    needed, permitted = _needed(manifests), _permitted(manifests)
    for begins, ends, port in sorted(needed - permitted, key=str):
        yield Finding("C5 network", f"{begins} → {ends}:{port}", "is needed, and no policy permits it")
    for begins, ends, port in sorted(permitted - needed, key=str):
        yield Finding("C5 network", f"{begins} → {ends}:{port}", "is permitted, and nothing needs it")


def _denies_all(policy: Object) -> bool:
    spec = policy["spec"]
    return bool(spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def _pods(manifests: Manifests) -> dict[str, dict[str, str]]:
    ours = {each["metadata"]["name"]: pod_labels(each) for each in manifests.of("Deployment")}
    return ours | dict(zip((BROKER, DATABASE), OPERATORS_PODS, strict=True))


def _needed(manifests: Manifests) -> set[Flow]:
    flows: set[Flow] = set(_OF_OPERATORS) | _FROM_NAMESPACES | _API_SERVER_AND_BACKUPS
    flows |= {(name, "DNS", 53) for name in _pods(manifests)}
    for workload in manifests.of("Deployment"):
        name = workload["metadata"]["name"]
        for container in containers(workload):
            for address in manifests.environment_of(container).values():
                flows |= _to(name, address, manifests)
    for workload in manifests.ours():
        names = {port for port in opened_by(workload) if isinstance(port, str)}
        flows |= {("namespace monitoring", workload["metadata"]["name"], port) for port in names}
    for route in manifests.of("HTTPRoute"):
        backends = [backend["name"] for rule in route["spec"]["rules"] for backend in rule["backendRefs"]]
        for parent in route["spec"]["parentRefs"]:
            flows |= {(f"namespace {parent['namespace']}", _behind(manifests, name), "http") for name in backends}
    return flows


def _to(name: str, address: str, manifests: Manifests) -> set[Flow]:
    parts = urlsplit(address)
    if parts.scheme not in _PORTS or not parts.hostname:
        return set()
    port = parts.port or _PORTS[parts.scheme]
    service, _, rest = parts.hostname.partition(".")
    if rest != f"{NAMESPACE}.svc":
        return {(name, "outside", port)}
    operators = {"rabbitmq": BROKER, "postgres-rw": DATABASE}
    if service in operators:
        return {(name, operators[service], port)}
    return {(name, _behind(manifests, service), "http")}


def _behind(manifests: Manifests, service: str) -> str:
    found = manifests.named("Service", service)
    selector = {"matchLabels": found["spec"]["selector"]} if found else {"matchLabels": {"none": "none"}}
    return next((name for name, labels in _pods(manifests).items() if selects(selector, labels)), f"Service {service}")


def _permitted(manifests: Manifests) -> set[Flow]:
    policies, pods = list(manifests.of("NetworkPolicy")), _pods(manifests)
    flows: set[Flow] = set()
    outgoing: set[Flow] = set()
    incoming: set[Flow] = set()
    for policy in policies:
        chosen = [name for name, labels in pods.items() if selects(policy["spec"]["podSelector"], labels)]
        for rule in policy["spec"].get("egress", []):
            for port in _ports(rule, manifests):
                for peer in rule.get("to", [{}]):
                    found = _peers(peer, pods)
                    inside = {(name, other, port) for name in chosen for other in found if other in pods}
                    outgoing |= inside
                    flows |= {(name, other, port) for name in chosen for other in found if other not in pods}
        for rule in policy["spec"].get("ingress", []):
            for port in _ports(rule, manifests):
                for peer in rule.get("from", [{}]):
                    found = _peers(peer, pods)
                    incoming |= {(other, name, port) for name in chosen for other in found if other in pods}
                    flows |= {
                        (other, name, port)
                        for name in chosen
                        for other in found
                        if other not in pods and (not isinstance(port, str) or port in _names(manifests, name))
                    }
    return flows | (outgoing & incoming)


def _names(manifests: Manifests, name: str) -> set[object]:
    workload = manifests.named("Deployment", name)
    return set(opened_by(workload)) if workload else set()


def _ports(rule: Object, manifests: Manifests) -> list[object]:
    """Ports by name where one of ours has a name for it; UDP and TCP are one."""
    names: dict[object, object] = {}
    for workload in manifests.of("Deployment"):
        if pod_labels(workload).get(PART_OF) != NAMESPACE:
            for container in containers(workload):
                names |= {port["containerPort"]: port["name"] for port in container.get("ports", [])}
    if "ports" not in rule:
        return ["any"]
    return [names.get(port["port"], port["port"]) for port in rule["ports"]]


def _peers(peer: Object, pods: dict[str, dict[str, str]]) -> list[str]:
    if "ipBlock" in peer:
        return ["everywhere" if peer["ipBlock"]["cidr"] == "0.0.0.0/0" else "outside"]
    if "namespaceSelector" in peer:
        selector = peer["namespaceSelector"]
        if peer.get("podSelector", {}).get("matchLabels") == {"k8s-app": "kube-dns"}:
            return ["DNS"]
        names = list(selector.get("matchLabels", {}).values())
        names += [value for each in selector.get("matchExpressions", []) for value in each.get("values", [])]
        return [f"namespace {name}" for name in names] or ["any namespace"]
    return [name for name, labels in pods.items() if selects(peer.get("podSelector", {}), labels)]
