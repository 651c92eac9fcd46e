"""`make audit` says what was looked up, and never that all is well when nobody could be asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[1] / "deploy/laptop/audit.py"
PROGRAM = """\
import json, sys
words = sys.argv
pins = [line.split("==") for line in open(words[words.index("-r") + 1])]
service = words[words.index("-s") + 1]
def found(name, version): {found}
print(json.dumps({{"dependencies": [found(name, version.strip()) for name, version in pins]}}))
"""
KNOWN = "return {'name': name, 'version': version, 'vulns': []}"
UNKNOWN = "return {'name': name, 'skip_reason': name + ' was not found'}"
BAD = "{'id': 'PYSEC-1', 'fix_versions': ['99']}"


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (KNOWN, 0, "is known to be vulnerable (pypi)"),
        (UNKNOWN, 77, "NOT AUDITED"),
        (f"if service == 'osv': {KNOWN}\n  {UNKNOWN}", 0, "is known to be vulnerable (osv)"),
        (f"if name != 'pika': {KNOWN}\n  {UNKNOWN}", 77, "NOT AUDITED  1 of"),
        (f"return {{'name': name, 'version': version, 'vulns': [{BAD}] if name == 'pika' else []}}", 1, "PYSEC-1"),
        (f"if name == 'pika': return {{'name': name, 'version': version, 'vulns': [{BAD}]}}\n  {UNKNOWN}", 1, "NOT"),
        ("raise SystemExit('no route to host')", 77, "no route to host"),
    ],
    ids=[
        "all known",
        "none known",
        "known elsewhere",
        "one not known",
        "vulnerable",
        "vulnerable, rest not",
        "offline",
    ],
)
def test_answer_of_the_advisory_service_decides(tmp_path: Path, found: str, code: int, said: str) -> None:
    (tmp_path / "pip_audit.py").write_text(PROGRAM.format(found=f"\n  {found}"))
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run([sys.executable, AUDIT], capture_output=True, text=True, env=environ, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert said in ended.stdout
    assert ("VULNERABLE  pika==" in ended.stdout) == (code == 1)
