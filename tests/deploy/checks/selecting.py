"""C4: whatever selects something by labels or names finds it."""

from collections.abc import Iterator

from .manifests import (
    NAME,
    NAMESPACE,
    Finding,
    Manifests,
    Object,
    label,
    pod_labels,
    pod_of,
    selects,
)

OPERATORS_PODS = (
    {NAME: "rabbitmq", "app.kubernetes.io/component": "rabbitmq", "app.kubernetes.io/part-of": "rabbitmq"},
    {"cnpg.io/cluster": "postgres"},
)
"""Labels that RabbitMQ's and CloudNativePG's operators give to what they make of our clusters."""


def check(manifests: Manifests) -> Iterator[Finding]:
    """Selectors, scale targets, service accounts, and who each object of a kind belongs to."""
    pods = [pod_labels(each) for each in manifests.of("Deployment")]
    for each in manifests.objects:
        yield from _namespace(each)
    for each in manifests.of("Deployment"):
        yield from _deployment(manifests, each)
    for each in manifests.of("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "ServiceMonitor"):
        if each["kind"] == "ServiceMonitor" or selects_something(_selector(each), [*pods, *OPERATORS_PODS]):
            continue
        yield Finding(f"C4 {_TITLES[each['kind']]}", label(each), f"selects no pod: {_selector(each)}")
    for each in manifests.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = each["spec"]["scaleTargetRef"]
        if manifests.named(target.get("kind", "Deployment"), target["name"]) is None:
            yield Finding("C4 scale target", label(each), f"there is no Deployment {target['name']}")
    yield from _operators_references(manifests)


def selects_something(selector: Object, pods: list[dict[str, str]]) -> bool:
    """Whether the selector takes any of the pods; an empty one takes all."""
    return any(selects(selector, labels) for labels in pods)


def _selector(each: Object) -> Object:
    spec = each["spec"]
    if each["kind"] == "Service":
        return {"matchLabels": spec["selector"]}
    found: Object = spec.get("podSelector", spec.get("selector", {}))
    return found


def _namespace(each: Object) -> Iterator[Finding]:
    where = each["metadata"].get("namespace")
    if each["kind"] == "Namespace":
        where = each["metadata"]["name"]
    if where != NAMESPACE:
        yield Finding("C4 namespace", label(each), f"lies in {where}, not in {NAMESPACE}")


def _deployment(manifests: Manifests, each: Object) -> Iterator[Finding]:
    selector, labels = each["spec"]["selector"], pod_labels(each)
    if not selects(selector, labels):
        yield Finding("C4 selector", label(each), f"selects {selector}, its pods have {labels}")
    if set(selector.get("matchLabels", {})) != {NAME}:
        yield Finding("C4 selector", label(each), f"selects by more than {NAME}, and a selector never changes")
    account = pod_of(each).get("serviceAccountName")
    if manifests.named("ServiceAccount", str(account)) is None:
        yield Finding("C4 service account", label(each), f"there is no ServiceAccount {account}")


def _operators_references(manifests: Manifests) -> Iterator[Finding]:
    """Users, virtual hosts, clusters, roles and stores that are named exist."""
    for each in manifests.objects:
        spec = each.get("spec", {})
        named = [
            ("RabbitmqCluster", spec.get("rabbitmqClusterReference", {}).get("name")),
            ("User", spec.get("userReference", {}).get("name")),
            ("Cluster", spec.get("cluster", {}).get("name")),
        ]
        if each["kind"] in ("Permission", "TopicPermission"):
            named.append(("Vhost", spec["vhost"]))
        if each["kind"] == "Database":
            named.append(("DatabaseRole", str(spec["owner"]).replace("_", "-")))
        if each["kind"] == "Cluster":
            named += [("ObjectStore", p["parameters"]["barmanObjectName"]) for p in spec.get("plugins", [])]
        if each["kind"] == "ScaledObject":
            named += [
                ("TriggerAuthentication", t.get("authenticationRef", {}).get("name", "none")) for t in spec["triggers"]
            ]
        for kind, name in named:
            if name is not None and manifests.named(kind, name) is None:
                yield Finding("C4 operator's reference", label(each), f"there is no {kind} {name}")


_TITLES = {
    "Service": "service selector",
    "PodDisruptionBudget": "disruption budget's selector",
    "NetworkPolicy": "policy's selector",
    "PodMonitor": "monitor's selector",
}
