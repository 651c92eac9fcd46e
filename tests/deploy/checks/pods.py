"""C5: what every pod of ours must have: probes, security, resources, a rollout that loses nobody."""

from collections.abc import Iterator

from .manifests import COMPONENT, Finding, Manifests, Object, containers, label, pod_labels, pod_of
from .ports import PROBES
from .quantities import amount

REQUESTS = {"gateway": (0.25, 192), "relay": (0.1, 128), "tracker": (0.05, 128), "department": (0.05, 128)}
"""CPUs and MiB that a process was seen to need, by component."""
UNPRIVILEGED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBE_S = {"startupProbe": (60, 60), "livenessProbe": (60, 60), "readinessProbe": (5, 15)}
"""How long a probe may fail until it counts, seconds: at least, at most. Of readiness: how often it is asked."""


def check(manifests: Manifests) -> Iterator[Finding]:
    """Section by section, of each Deployment."""
    for workload in manifests.of("Deployment"):
        where = label(workload)
        yield from (Finding("C5 security", where, what) for what in _security(workload))
        yield from (Finding("C5 resources", where, what) for what in _resources(workload))
    for workload in manifests.ours():
        where = label(workload)
        yield from (Finding("C5 probes", where, what) for what in _probes(workload))
        yield from (Finding("C5 rollout", where, what) for what in _rollout(workload))
        yield from (Finding("C5 labels", where, what) for what in _labels(workload))


def _security(workload: Object) -> Iterator[str]:
    pod = pod_of(workload)
    whole = pod.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    for key, value in wanted.items():
        if whole.get(key) != value:
            yield f"{key} is {whole.get(key)}, not {value}"
    if whole.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile RuntimeDefault"
    if pod.get("automountServiceAccountToken") is not False:
        yield "is given a token of the API"
    if pod.get("enableServiceLinks") is not False:
        yield "is given variables of every Service"
    for container in containers(workload):
        context = container.get("securityContext", {})
        if context != UNPRIVILEGED:
            yield f"container {container['name']}: {context} is not {UNPRIVILEGED}"
    for volume in pod.get("volumes", []):
        if set(volume) - {"name", "emptyDir", "secret", "configMap", "projected"}:
            yield f"volume {volume['name']} is of a kind that we do not use"
        if "emptyDir" in volume and amount((volume["emptyDir"] or {}).get("sizeLimit", "")) is None:
            yield f"volume {volume['name']} has no size limit"


def _resources(workload: Object) -> Iterator[str]:
    for container in containers(workload):
        resources = container.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        wanted = {"requests.cpu": requests.get("cpu"), "requests.memory": requests.get("memory")}
        for name, text in {**wanted, "limits.memory": limits.get("memory")}.items():
            if amount(text) is None:
                yield f"container {container['name']}: {name} is no quantity: {text}"
        if "cpu" in limits:
            yield f"container {container['name']} has a CPU limit, which throttles it on a node that idles"
        if (amount(limits.get("memory")) or 0) < (amount(requests.get("memory")) or 0):
            yield f"container {container['name']} may use less memory than it asks for"
    component = pod_labels(workload).get(COMPONENT)
    requests = pod_of(workload)["containers"][0].get("resources", {}).get("requests", {})
    if component in REQUESTS:
        cpu, mib = REQUESTS[component]
        if (amount(requests.get("cpu")) or 0) < cpu or (amount(requests.get("memory")) or 0) < mib * 1024**2:
            yield f"asks for {requests}, less than a {component} needs: {cpu} CPU, {mib}Mi"


def _probes(workload: Object) -> Iterator[str]:
    for container in pod_of(workload)["containers"]:
        for name in PROBES:
            probe = container.get(name)
            if probe is None:
                yield f"has no {name}"
                continue
            path = probe.get("httpGet", {}).get("path")
            wanted = "/readyz" if name == "readinessProbe" else "/healthz"
            if path != wanted:
                yield f"{name} asks {path}, not {wanted}: liveness may not depend on broker or database"
            period_s, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
            least, most = PROBE_S[name]
            took_s = period_s if name == "readinessProbe" else period_s * failures
            if not least <= took_s <= most:
                yield f"{name} counts after {took_s} s, not after {least} to {most} s"


def _rollout(workload: Object) -> Iterator[str]:
    spec, pod = workload["spec"], pod_of(workload)
    if spec.get("strategy", {}).get("rollingUpdate") != {"maxSurge": 1, "maxUnavailable": 0}:
        yield "a rollout takes pods away before new ones are ready"
    if spec.get("progressDeadlineSeconds", 600) > 300:
        yield "a stuck rollout is told later than after 300 s"
    keys = {each["topologyKey"] for each in pod.get("topologySpreadConstraints", [])}
    if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        yield f"pods are spread by {sorted(keys)}, not by host and zone"
    for each in pod.get("topologySpreadConstraints", []):
        if each["whenUnsatisfiable"] != "ScheduleAnyway" or each.get("matchLabelKeys") != ["pod-template-hash"]:
            yield f"spread by {each['topologyKey']} may keep a pod from being placed, or counts those that go"


def _labels(workload: Object) -> Iterator[str]:
    labels = pod_labels(workload)
    for key in ("name", "component", "part-of", "version"):
        if f"app.kubernetes.io/{key}" not in labels:
            yield f"its pods have no label {key}"
