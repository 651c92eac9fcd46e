"""What is in each image: that service and eventbus, nothing to build with, no more than it may weigh."""

import json
from pathlib import Path
from typing import Any

import pytest

from .engine import DOCKERFILES, Engine, python_base, title

MB = 1_000_000
COMPRESSED_MAX = 100 * MB
OWN_MAX = 110 * MB
LARGER = {"order-bus/printer": (130 * MB, 195 * MB)}
"""typst and the fonts."""
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")  # noqa: S108
WRITABLE = {"/tmp", "/var/tmp", "/dev", "/dev/shm", "/dev/mqueue", "/run/lock"}  # noqa: S108
"""podman puts file systems in memory on some of them."""
PROBE = r"""
import importlib.metadata, importlib.util, json, os, pathlib, shutil, sys
def writable(folder):
    try:
        name = os.path.join(folder, ".probe")
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        os.unlink(name)
        return True
    except OSError:
        return False
folders = [f for f, inside, _ in os.walk("/") if not f.startswith(("/proc", "/sys"))]
packages = pathlib.Path(sys.prefix, "lib/python3.11/site-packages")
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(),
    "writable": [f for f in folders if writable(f)],
    "tools": [t for t in ("gcc", "cc", "make", "ld", "pip", "pip3", "git", "apt-get-build") if shutil.which(t)],
    "pip": importlib.util.find_spec("pip") is not None,
    "own": sorted(d.name for d in importlib.metadata.distributions() if d.name.startswith("order-bus-")),
    "folders": sorted(f.name for f in packages.iterdir()),
    "tests": [str(f) for p in ("eventbus", "orders", "printer", "marketing", "sap_bridge", "sap_sandbox")
              for f in (packages / p).rglob("test_*.py")],
    "uncompiled": [str(f) for f in packages.rglob("*.py") if "templates" not in f.parts
                   and not list((f.parent / "__pycache__").glob(f.stem + ".*.pyc"))],
    "caches": [f for f in ("/root/.cache", "/wheels", "/src", "/opt/build") if os.path.exists(f)],
}))
"""


@pytest.fixture(scope="module", params=DOCKERFILES, ids=title)
def image(request: pytest.FixtureRequest, version: str) -> tuple[Path, str]:
    return request.param, f"{title(request.param)}:{version}"


@pytest.fixture(scope="module")
def found(engine: Engine, image: tuple[Path, str]) -> Any:
    return json.loads(engine.run("run", "--rm", *HARDENED, "--entrypoint", "python", image[1], "-c", PROBE))


def test_it_runs_as_nobody_and_can_write_to_tmp_alone(found: Any) -> None:
    assert (found["uid"], found["gid"]) == (10001, 10001)
    assert "/tmp" in found["writable"]  # noqa: S108
    assert set(found["writable"]) - WRITABLE == set()


def test_it_holds_its_service_and_eventbus_and_nothing_to_build_with(found: Any, image: tuple[Path, str]) -> None:
    name = image[1].partition(":")[0].removeprefix("order-bus/")
    assert set(found["own"]) == {"order-bus-eventbus"} | ({f"order-bus-{name}"} - {"order-bus-bus"})
    assert (found["tools"], found["pip"], found["caches"], found["tests"]) == ([], False, [], [])


def test_its_bytecode_is_there(found: Any) -> None:
    """A read-only root file system would never keep any: each start would compile everything."""
    assert found["uncompiled"] == []


def test_it_says_what_it_is(engine: Engine, image: tuple[Path, str], version: str) -> None:
    labels = json.loads(engine.run("image", "inspect", "--format", "{{json .Config.Labels}}", image[1]))
    assert labels["org.opencontainers.image.version"] == version
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert json.loads(engine.run("image", "inspect", "--format", "{{json .Config.User}}", image[1])) == "10001:10001"


def test_it_weighs_little(engine: Engine, image: tuple[Path, str], report: list[str]) -> None:
    name = image[1].partition(":")[0]
    compressed_max, own_max = LARGER.get(name, (COMPRESSED_MAX, OWN_MAX))
    base = engine.unpacked_bytes(python_base())
    compressed, unpacked = engine.compressed_bytes(image[1]), engine.unpacked_bytes(image[1])
    report.append(
        f"{name:<22} {compressed / MB:4.0f} MB compressed, {unpacked / MB:4.0f} MB unpacked = "
        f"base {base / MB:.0f} + {(unpacked - base) / MB:.0f}"
    )
    assert unpacked - base <= own_max
    assert compressed <= compressed_max
