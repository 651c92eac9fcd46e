"""C5: who says how many pods there are, and what may be taken away at a time."""

from collections.abc import Iterator

from .manifests import COMPONENT, Finding, Manifests, Object, label, pod_labels, selects

REPLICAS_MAX = {"sap-bridge": 4, "orders-tracker": 4}
"""More are no use: SAP has few work processes, the tracker works in batches."""


def check(manifests: Manifests) -> Iterator[Finding]:
    """Replicas, scalers, disruption budgets."""
    scalers = list(manifests.of("HorizontalPodAutoscaler", "ScaledObject"))
    for workload in manifests.ours():
        yield from _replicas(manifests, workload, scalers)
    for scaler in manifests.of("ScaledObject"):
        yield from (Finding("C5 KEDA", label(scaler), what) for what in _queue_scaler(scaler))
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        if not 2 <= spec.get("minReplicas", 1) <= spec["maxReplicas"]:
            yield Finding("C5 scaler", label(scaler), "fewer than two pods, or more at least than at most")
    for trigger in manifests.of("TriggerAuthentication"):
        given = {
            each["parameter"] for field in ("secretTargetRef", "configMapTargetRef") for each in trigger["spec"][field]
        }
        if missing := {"host", "username", "password", "ca", "tls"} - given:
            yield Finding("C5 KEDA", label(trigger), f"does not give {', '.join(sorted(missing))}")
    if manifests.environment == "production":
        yield from _disruption(manifests)


def _replicas(manifests: Manifests, workload: Object, scalers: list[Object]) -> Iterator[Finding]:
    name = workload["metadata"]["name"]
    own = [scaler for scaler in scalers if scaler["spec"]["scaleTargetRef"]["name"] == name]
    fixed = workload["spec"].get("replicas")
    if own and fixed is not None:
        yield Finding(
            "C5 replicas", label(workload), f"each apply sets {fixed} replicas back, which {label(own[0])} scales"
        )
    if len(own) > 1:
        yield Finding("C5 replicas", label(workload), f"{' and '.join(label(each) for each in own)} both scale it")
    if not own and (fixed is None or fixed < (2 if manifests.environment == "production" else 1)):
        yield Finding("C5 replicas", label(workload), f"nothing scales it, and it has {fixed} replicas")


def _queue_scaler(scaler: Object) -> Iterator[str]:
    spec = scaler["spec"]
    name = spec["scaleTargetRef"]["name"]
    if spec.get("minReplicaCount", 0) < 2:
        yield "scales below two pods: no consumer is an alert"
    if not spec.get("minReplicaCount", 0) <= spec["maxReplicaCount"] <= REPLICAS_MAX.get(name, 6):
        yield f"scales to {spec['maxReplicaCount']} pods"
    if spec.get("fallback", {}).get("behavior") != "currentReplicasIfHigher":
        yield "without the broker's answer it may scale down"
    behavior = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    down = behavior.get("scaleDown", {})
    if down.get("stabilizationWindowSeconds", 0) < 300 or down.get("policies") != [
        {"type": "Pods", "value": 1, "periodSeconds": 60}
    ]:
        yield "scales down faster than a pod a minute after five quiet minutes"
    if spec.get("pollingInterval", 30) > 15:
        yield "asks less often than every 15 s"
    for trigger in spec["triggers"]:
        metadata = trigger["metadata"]
        if metadata.get("protocol") != "http":
            yield f"counts over {metadata.get('protocol')}, where prefetched messages count as gone"
        if metadata.get("mode") != "QueueLength" or not float(metadata.get("value", 0)) > 0:
            yield f"has no length of a queue as its target: {metadata}"
        if metadata.get("vhostName") != "order-bus":
            yield f"looks into the virtual host {metadata.get('vhostName')}"
        if "authenticationRef" not in trigger:
            yield "logs in as nobody"


def _disruption(manifests: Manifests) -> Iterator[Finding]:
    budgets = list(manifests.of("PodDisruptionBudget"))
    for workload in manifests.ours():
        own = [each for each in budgets if selects(each["spec"]["selector"], pod_labels(workload))]
        if len(own) != 1:
            yield Finding("C5 disruption", label(workload), f"has {len(own)} disruption budgets")
    for budget in budgets:
        spec = budget["spec"]
        ours = budget["metadata"]["name"] != "rabbitmq"
        if spec.get("maxUnavailable") != 1 or (ours and spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow"):
            yield Finding("C5 disruption", label(budget), "takes away more than one, or lets an outage block a drain")
    if manifests.environment == "production":
        for workload in manifests.ours():
            component, name = pod_labels(workload).get(COMPONENT), workload["metadata"]["name"]
            scaled = [s for s in manifests.of("ScaledObject") if s["spec"]["scaleTargetRef"]["name"] == name]
            if component == "department" and not scaled:
                yield Finding("C5 replicas", label(workload), "no ScaledObject scales this department by its queue")
