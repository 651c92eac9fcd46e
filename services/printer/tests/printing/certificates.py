"""Certificates of our own, made by openssl."""

import subprocess
from pathlib import Path


class Certificates:
    """A CA, a certificate that it signed for `localhost`, and another CA that signed nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file, self.other_ca_file = folder / "ca.crt", folder / "other.crt"
        for name in ("ca", "other"):
            self._make(name, f"CN={name}", "basicConstraints=critical,CA:TRUE")
        signed = ("-CA", self.ca_file, "-CAkey", folder / "ca.key")
        self._make("localhost", "CN=localhost", "subjectAltName=DNS:localhost", *signed)

    def install(self, folder: Path) -> None:
        """Put certificate and key of `localhost` there."""
        for name in ("localhost.crt", "localhost.key"):
            (folder / name).write_bytes((self._folder / name).read_bytes())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate of `localhost`, as openssl prints it: with colons."""
        command = ["openssl", "x509", "-in", str(self._folder / "localhost.crt"), "-noout", "-fingerprint", "-sha256"]
        printed: str = subprocess.check_output(command, text=True)
        return printed.strip().partition("=")[2]

    def _make(self, name: str, subject: str, extension: str, *signed: object) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        out = ("-keyout", self._folder / f"{name}.key", "-out", self._folder / f"{name}.crt", "-days", "2")
        command = ("openssl", "req", "-x509", *key, *out, "-subj", f"/{subject}", "-addext", extension, *signed)
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
