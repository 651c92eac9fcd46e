"""docker or podman, as the tests of the images use it."""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXIT_MISSING = 77
"""As automake's tests say it: skipped."""
PROGRAMS = Path(sys.executable).parent
DOCKERFILES = sorted([ROOT / "eventbus/Dockerfile", *ROOT.glob("services/**/Dockerfile")])
PULL_TIMEOUT_S = 600
CHUNK = 1 << 20


class MissingError(Exception):
    """What the tests cannot do without, and how to get it."""


class Engine:
    """The one that `deploy/images/engine` finds. Raises MissingError: none works here."""

    def __init__(self) -> None:
        found = subprocess.run([ROOT / "deploy/images/engine"], capture_output=True, text=True, check=False)
        if found.returncode:
            raise MissingError(found.stderr.strip())
        self.name = found.stdout.strip()

    def run(self, *arguments: str, timeout_s: float = 120) -> str:
        """Its standard output. Raises CalledProcessError."""
        command = [self.name, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        if ended.returncode:
            raise subprocess.CalledProcessError(ended.returncode, command, ended.stdout, ended.stderr[-2000:])
        return ended.stdout.strip()

    def has(self, image: str) -> bool:
        """Whether it is here, or could be fetched."""
        try:
            self.run("image", "inspect", image)
        except subprocess.CalledProcessError:
            pass
        else:
            return True
        try:
            self.run("pull", image, timeout_s=PULL_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        return True

    def unpacked_bytes(self, image: str) -> int:
        return int(self.run("image", "inspect", "--format", "{{.Size}}", image))

    def compressed_bytes(self, image: str) -> int:
        """About what a registry sends: all its layers, through zlib."""
        size, packer = 0, zlib.compressobj(6)
        with subprocess.Popen([self.name, "save", image], stdout=subprocess.PIPE) as saving:
            assert saving.stdout is not None
            while chunk := saving.stdout.read(CHUNK):
                size += len(packer.compress(chunk))
        assert saving.returncode == 0
        return size + len(packer.flush())


def title(dockerfile: Path) -> str:
    """The name that the image gives itself."""
    found = re.search(r'image\.title="([^"]*)"', dockerfile.read_text())
    assert found, dockerfile
    return found[1]


def python_base() -> str:
    """The image that ours are built on."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILES[0].read_text(), re.MULTILINE)
    assert found
    return os.environ.get("PYTHON_IMAGE") or found[1]


def bases() -> list[str]:
    """The images that are not built here and that the tests need."""
    text = (ROOT / "compose.yaml").read_text()
    named = dict(re.findall(r"image: \$\{((?:RABBITMQ|POSTGRES)_IMAGE):-([^}]+)\}", text))
    return [python_base(), *(os.environ.get(name) or image for name, image in named.items())]


def check_bases(engine: Engine) -> None:
    """Raises MissingError: an image is neither here nor in reach."""
    if missing := [image for image in bases() if not engine.has(image)]:
        raise MissingError(
            f"Neither here nor in a registry that {engine.name} reaches: {', '.join(missing)}. On Debian 12, "
            "tests/images/debian/make builds stand-ins from the system's packages (podman, debootstrap; as root)."
        )
