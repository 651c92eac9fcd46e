"""C5: namespace, broker, database: what correctness needs of them."""

import re
from collections.abc import Iterator

from eventbus.topology import ARCHIVE_BYTES_MAX

from .manifests import Finding, Manifests, Object, label
from .quantities import amount

BROKER_SETTINGS = {
    "default_queue_type": "quorum",
    "cluster_partition_handling": "pause_minority",
    "net_ticktime": "10",
    "deprecated_features.permit.global_qos": "false",
    "deprecated_features.permit.transient_nonexcl_queues": "false",
}
_CLIENT_CERTIFICATE = re.compile(r"hostssl\s+all\s+all\s+all\s+cert")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Of each platform object what its folder promises."""
    production = manifests.environment == "production"
    for namespace in manifests.of("Namespace"):
        if namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield Finding("C5 namespace", label(namespace), "does not enforce restricted Pod Security")
    for cluster in manifests.of("RabbitmqCluster"):
        yield from (Finding("C5 broker", label(cluster), what) for what in _broker(manifests, cluster, production))
    for cluster in manifests.of("Cluster"):
        yield from (Finding("C5 database", label(cluster), what) for what in _database(cluster, production))
    for each in manifests.of("Database", "DatabaseRole", "Vhost"):
        spec = each["spec"]
        policies = {spec.get(f) for f in ("databaseReclaimPolicy", "databaseRoleReclaimPolicy", "deletionPolicy")}
        if "retain" not in policies:
            yield Finding("C5 data", label(each), "its data goes with this object: it has to be retained")
    if production:
        yield from _backup(manifests)
    for kind in ("Queue", "Exchange", "Binding", "Policy"):
        for each in manifests.of(kind):
            yield Finding("C5 data", label(each), "the services declare their own; deleting this deletes messages")


def _broker(manifests: Manifests, cluster: Object, production: bool) -> Iterator[str]:
    spec = cluster["spec"]
    nodes = spec.get("replicas", 1)
    if nodes != (3 if production else 1):
        yield f"has {nodes} nodes"
    lines = [line.split("=", 1) for line in spec["rabbitmq"]["additionalConfig"].splitlines() if "=" in line]
    settings = {key.strip(): value.strip() for key, value in lines}
    for key, value in BROKER_SETTINGS.items():
        if settings.get(key) != value:
            yield f"{key} is {settings.get(key)}, not {value}"
    if not spec.get("tls", {}).get("disableNonTLSListeners"):
        yield "listens without TLS"
    resources = spec["resources"]
    memory = amount(resources["limits"]["memory"]) or 0
    if resources["requests"]["memory"] != resources["limits"]["memory"]:
        yield "asks for less memory than it may use: its watermark is of the limit"
    limit = amount(settings.get("disk_free_limit.absolute", "").removesuffix("B"))
    if limit != 2 * memory:
        yield f"disk_free_limit.absolute is {limit} bytes, not twice its memory"
    disk, archive = amount(spec["persistence"]["storage"]) or 0, _archive_bytes(manifests)
    if archive + (limit or 0) > 0.8 * disk:
        yield f"the archive ({archive:.0f} bytes) and the free limit leave too little of its disk"
    if production:
        apart = spec.get("affinity", {}).get("podAntiAffinity", {})
        required = apart.get("requiredDuringSchedulingIgnoredDuringExecution")
        if not required or required[0]["topologyKey"] != "kubernetes.io/hostname":
            yield "two of its nodes may share a machine"


def _archive_bytes(manifests: Manifests) -> float:
    """What the init container of the relay declares, else the default."""
    for config in manifests.of("ConfigMap"):
        if "ARCHIVE_BYTES_MAX" in config["data"]:
            return float(config["data"]["ARCHIVE_BYTES_MAX"])
    return ARCHIVE_BYTES_MAX


def _database(cluster: Object, production: bool) -> Iterator[str]:
    spec = cluster["spec"]
    if spec["instances"] != (3 if production else 1):
        yield f"has {spec['instances']} instances"
    if not _CLIENT_CERTIFICATE.fullmatch(" ".join(spec["postgresql"].get("pg_hba", [""])[:1])):
        yield "lets somebody in without a client certificate"
    connections = int(spec["postgresql"]["parameters"].get("max_connections", 100))
    if connections < 134:
        yield f"takes {connections} connections; all services at their largest hold 134"
    if not production:
        return
    synchronous = spec["postgresql"].get("synchronous", {})
    if synchronous != {"method": "any", "number": 1, "dataDurability": "required"}:
        yield f"may answer a commit that is on one machine alone: {synchronous}"
    affinity = spec.get("affinity", {})
    if affinity.get("podAntiAffinityType") != "required" or affinity.get("topologyKey") != "kubernetes.io/hostname":
        yield "two of its instances may share a machine"
    if "walStorage" not in spec:
        yield "has no volume of its own for the log"
    if not any(each.get("isWALArchiver") for each in spec.get("plugins", [])):
        yield "archives no log: nothing can be restored between two backups"


def _backup(manifests: Manifests) -> Iterator[Finding]:
    schedules = list(manifests.of("ScheduledBackup"))
    if not schedules:
        yield Finding("C5 backup", "ScheduledBackup", "there is none")
    for each in schedules:
        fields = each["spec"]["schedule"].split()
        if len(fields) != 6:
            yield Finding("C5 backup", label(each), "its schedule has not six fields: the first is seconds")
        elif fields[3:] != ["*", "*", "*"]:
            yield Finding("C5 backup", label(each), "is not daily")
        if each["spec"].get("method") != "plugin":
            yield Finding("C5 backup", label(each), "is not made by the plugin")
    for store in manifests.of("ObjectStore"):
        if store["spec"].get("retentionPolicy") != "30d":
            yield Finding("C5 backup", label(store), f"keeps backups for {store['spec'].get('retentionPolicy')}")
