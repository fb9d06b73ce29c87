"""A private certificate authority, and certificates of it for loopback addresses."""

import ssl
import subprocess
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1"


class Authority:
    """Its certificate is in ``file``; the certificates that it signs are in ``folder``.

    A ``bare`` one lacks what RFC 5280 asks of it beside the basic constraints: key usage and key
    identifiers. Docker and curl take it; Python 3.13 does not where it is strict.
    """

    def __init__(self, folder: Path, *, bare: bool = False) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        key = folder / "authority.key"
        usage = "keyUsage=critical,keyCertSign,cRLSign"
        none = ("subjectKeyIdentifier=none", "authorityKeyIdentifier=none")
        asked = ["basicConstraints=critical,CA:TRUE", *(none if bare else (usage,))]
        minimal = folder / "minimal.cnf"
        minimal.write_text(
            "[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\n" + "\n".join(asked)
        )
        extensions: list[str | Path] = ["-config", minimal]
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
        names.write_text(
            "\n".join([_NAMES, *(none if bare else ("authorityKeyIdentifier=keyid",))])
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", key, "-days", "2"),
            *("-CAcreateserial", "-extfile", names, "-out", self._certificate),
        )

    @property
    def hashed_name(self) -> str:
        """The name under which OpenSSL looks for it in a folder."""
        asked = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(self.file)]
        return f"{subprocess.check_output(asked, text=True).strip()}.0"

    def server(self) -> ssl.SSLContext:
        """Return the TLS context of a server on this machine."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._key)
        return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
