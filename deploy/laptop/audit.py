"""Looks up every pinned package among known vulnerabilities (`make audit`).

Exit codes: 0 all were looked up and none is known to be vulnerable, 1 some are, 77 some could not be looked up.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from progress import say

ROOT = Path(__file__).absolute().parents[2]
SERVICES = ("pypi", "osv")
"""Of pip-audit, in turn: who answers for the most packages is believed."""
TIMEOUT_S = 15
SHOWN_MAX = 10
EXIT_VULNERABLE = 1
EXIT_NOT_RUN = 77
"""As automake's tests say it: skipped."""


@dataclass
class Findings:
    """What one advisory service says."""

    service: str
    looked_up: set[str] = field(default_factory=set)
    not_looked_up: dict[str, str] = field(default_factory=dict)
    """Why, by package."""
    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    """Advisories, by package and version."""
    failure: str = ""


def main() -> int:
    pinned = pins(requirement_files())
    say(f"{len(pinned)} packages in {len(requirement_files())} requirements.txt")
    found = [ask(service, pinned) for service in SERVICES[:1]]
    if found[0].failure or found[0].not_looked_up:
        found += [ask(service, pinned) for service in SERVICES[1:]]
    return tell(found, pinned)


def requirement_files() -> list[Path]:
    """Every requirements.txt of this repository."""
    folders = (ROOT / "eventbus", ROOT / "services", ROOT / "deploy", ROOT / "tests")
    return sorted(file for folder in folders for file in folder.rglob("requirements.txt"))


def pins(files: Iterable[Path]) -> dict[str, list[str]]:
    """Which files need each `package==version`."""
    needed = defaultdict(list)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                needed[line].append(str(file.relative_to(ROOT)))
    return dict(sorted(needed.items()))


def ask(service: str, pinned: Iterable[str]) -> Findings:
    """What the service says of these packages."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pinned))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "-r", file.name, "--disable-pip", "--no-deps", "-s", service]
        command += ["-f", "json", "--progress-spinner", "off", "--timeout", str(TIMEOUT_S)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return read(service, ended.stdout, ended.stderr)


def read(service: str, output: str, errors: str) -> Findings:
    """pip-audit's JSON. It takes a service that knows none of the packages for one that knows nothing bad of them,
    and says so in the same words: a package that was skipped is no package that was looked up."""
    try:
        document: dict[str, Any] = json.loads(output)
    except ValueError:
        last = ([line for line in errors.splitlines() if line.strip()] or ["it said nothing"])[-1]
        return Findings(service, failure=last.strip()[:300])
    findings = Findings(service)
    for each in document["dependencies"]:
        if reason := each.get("skip_reason"):
            findings.not_looked_up[each["name"]] = reason
            continue
        findings.looked_up.add(each["name"])
        if each["vulns"]:
            findings.vulnerable[f"{each['name']}=={each['version']}"] = [_advisory(one) for one in each["vulns"]]
    return findings


def _advisory(vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions") or ()) or "no release yet"
    return f"{vulnerability['id']}, fixed in {fixed}"


def tell(found: list[Findings], pinned: dict[str, list[str]]) -> int:
    """Say what was found; the exit code."""
    best = max(found, key=lambda findings: len(findings.looked_up))
    for package, advisories in sorted(best.vulnerable.items()):
        users = [file for pin, files in pinned.items() if _same(pin, package) for file in files]
        say(f"VULNERABLE  {package} ({', '.join(users)})")
        for advisory in advisories:
            say(f"  {advisory}")
    missing = len(pinned) - len(best.looked_up)
    if missing:
        say(f"NOT AUDITED  {missing} of {len(pinned)} packages: no advisory service that can be reached knows them")
        for findings in found:
            reasons = sorted(findings.not_looked_up.values())
            say(f"  {findings.service}: {findings.failure or f'{len(reasons)} unknown to it'}")
            for reason in reasons[:SHOWN_MAX] if findings.looked_up else reasons[:1]:
                say(f"    {reason}")
    if best.vulnerable:
        return EXIT_VULNERABLE
    if missing:
        return EXIT_NOT_RUN
    say(f"None of {len(pinned)} packages is known to be vulnerable ({best.service})")
    return 0


def _same(pin: str, package: str) -> bool:
    return pin.lower().replace("_", "-").replace(".", "-") == package.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    sys.exit(main())
