"""C8: alerts are PromQL, fire and keep silent where they should, tell what to do, and ask for metrics that exist."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .manifests import ROOT, Finding, Manifests, Object

CASES = ROOT / "tests/deploy/alerts.yaml"
OF_OTHERS = {
    # RabbitMQ 4.2, /metrics and /metrics/detailed with the families in monitors.yaml (seen on 3.10.8 too)
    "rabbitmq_build_info",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_alarms_file_descriptor_limit",
    "rabbitmq_detailed_queue_messages_ready",
    "rabbitmq_detailed_queue_consumers",
    # CloudNativePG, "Monitoring"; Barman Cloud plugin, "Observability"
    "cnpg_collector_sync_replicas",
    "barman_cloud_cloudnative_pg_io_last_available_backup_timestamp",
    # the kubelet; kube-state-metrics; cert-manager; KEDA, "Integrate with Prometheus"
    "kubelet_volume_stats_used_bytes",
    "kubelet_volume_stats_capacity_bytes",
    "kube_deployment_status_condition",
    "certmanager_certificate_expiration_timestamp_seconds",
    "keda_scaler_detail_errors_total",
}
_DEFINED = re.compile(r'\b(Counter|Gauge|Histogram|GaugeMetricFamily)\(\s*"([a-z_]+)"')
_METRIC = re.compile(r"\b([a-z]+(?:_[a-z]+)+)\s*\{")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Every rule."""
    for each in manifests.of("PrometheusRule"):
        groups = each["spec"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        for rule in rules:
            yield from (Finding("C8 alert", f"alert {rule['alert']}", what) for what in _rule(rule))
        cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
        if set(cases) != {rule["alert"] for rule in rules}:
            differing = sorted(set(cases) ^ {rule["alert"] for rule in rules})
            yield Finding("C8 alert", ", ".join(differing), "has a case and no rule, or a rule and no case")
        known = {rule["alert"]: cases[rule["alert"]] for rule in rules if rule["alert"] in cases}
        if told := _promtool(groups, known):
            yield Finding("C8 PromQL", "PrometheusRule", told)


def _rule(rule: Object) -> Iterator[str]:
    unknown = set(_METRIC.findall(rule["expr"])) - OF_OTHERS - metrics_of_ours()
    if unknown:
        yield f"asks for {', '.join(sorted(unknown))}, which nobody tells"
    page, _, anchor = rule.get("annotations", {}).get("runbook_url", "").partition("#")
    if not anchor or not (ROOT / page).is_file() or anchor not in _anchors(ROOT / page):
        yield f"what to do about it stands nowhere: {page}#{anchor}"
    if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
        yield "is neither critical nor a warning"
    if "for" not in rule:
        yield "fires at the first glance"


@cache
def metrics_of_ours() -> frozenset[str]:
    """Names at /metrics of our processes, as the code defines them."""
    found = set()
    for source in [ROOT / "eventbus/src", *(ROOT / "services").glob("*/src")]:
        for file in source.rglob("*.py"):
            for kind, name in _DEFINED.findall(file.read_text(encoding="utf-8")):
                found.add(name if kind != "Counter" or name.endswith("_total") else f"{name}_total")
    return frozenset(found)


@cache
def _anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings)


def _promtool(groups: list[Object], cases: dict[str, Any]) -> str:
    """promtool's words on the rules' syntax and on the cases; empty: all as expected."""
    with tempfile.TemporaryDirectory() as folder:
        rules, bare, tests = (Path(folder) / name for name in ("rules.yaml", "bare.yaml", "tests.yaml"))
        rules.write_text(json.dumps({"groups": groups}))  # which is YAML
        checked = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True, check=False)
        if checked.returncode:
            return f"{checked.stdout}{checked.stderr}".strip()
        # annotations would have to be repeated in each case, letter by letter
        unannotated = [{**g, "rules": [{**r, "annotations": {}} for r in g["rules"]]} for g in groups]
        bare.write_text(json.dumps({"groups": unannotated}))
        tests.write_text(json.dumps({"rule_files": [str(bare)], "evaluation_interval": "1m", "tests": _tests(cases)}))
        tried = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
        return f"{tried.stdout}{tried.stderr}".strip() if tried.returncode else ""


def _tests(cases: dict[str, Any]) -> list[Any]:
    return [
        {
            "interval": "1m",
            "input_series": [{"series": s, "values": str(v)} for s, v in case[outcome]["series"].items()],
            "alert_rule_test": [
                {
                    "alertname": name,
                    "eval_time": case[outcome]["at"],
                    "exp_alerts": [{"exp_labels": case["fires"]["labels"]}] if outcome == "fires" else [],
                }
            ],
        }
        for name, case in cases.items()
        for outcome in ("fires", "silent")
    ]
