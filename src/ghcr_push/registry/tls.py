"""Whom TLS trusts: the system's authorities, and those that SSL_CERT_FILE and SSL_CERT_DIR name.

OpenSSL takes these variables in place of the system's authorities, and Python 3.13 with them began
to refuse authorities that lack extensions of RFC 5280 (python/cpython#138193), which docker, curl
and browsers take. Here they come on top, as in a runner's own certificates, and are taken as there;
certificates and host names are checked as ever.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

FILE, FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


class Authorities:
    """The authorities of ``environ``; ``faults`` says which of them could not be read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: tuple[str, ...] = ()

    def verifying(self) -> ssl.SSLContext:
        """Return what checks the certificate of a host and its name."""
        context = httpx2.create_ssl_context(verify=True, trust_env=False)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.faults = tuple(self._load(context))
        return context

    def _load(self, context: ssl.SSLContext) -> Iterator[str]:
        """Add the authorities; yield a sentence for each that cannot be."""
        if file := self._environ.get(FILE):
            try:
                context.load_verify_locations(cafile=file)
            except OSError as error:  # of the file, or of what stands in it
                yield f"{FILE} names {file}, {_why(error)}"
        for folder in filter(None, self._environ.get(FOLDER, "").split(os.pathsep)):
            if Path(folder).is_dir():
                context.load_verify_locations(capath=folder)
            else:
                yield f"{FOLDER} names {folder}, which is no folder here"


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "which holds no certificate in PEM"
    if isinstance(error, FileNotFoundError):
        return "which is not there: in a container action only files of the workspace are"
    return f"which cannot be read ({error.strerror})"
