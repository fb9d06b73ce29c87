"""A private certificate authority, and certificates of it for loopback addresses."""

import ssl
import subprocess
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Authority:
    """Its certificate is in ``file``; what it signs lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        key = folder / "authority.key"
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE"]
        extensions += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=private authority", "-keyout", key, "-out", self.file),
            *extensions,
        )
        request, self._certificate = folder / "server.csr", folder / "server.pem"
        self._key = folder / "server.key"
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-keyout", self._key, "-out", request),
        )
        names = folder / "names"
        names.write_text(f"{_NAMES}\nauthorityKeyIdentifier=keyid\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", key, "-days", "2"),
            *("-CAcreateserial", "-extfile", names, "-out", self._certificate),
        )

    def server(self) -> ssl.SSLContext:
        """Return what a server shows that listens on this machine."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key)
        return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
