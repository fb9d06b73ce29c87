"""Trusted certificate authorities: the system's, and those of SSL_CERT_FILE and SSL_CERT_DIR.

OpenSSL uses these variables instead of the system's authorities, and since Python 3.13 rejects
authorities without extensions of RFC 5280 (python/cpython#138193), which docker, curl and browsers
accept. Here they are added to the system's, as in a runner's own certificates, and accepted like
there; certificates and host names are checked as usual.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

FILE, FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"


class Authorities:
    """The authorities of ``environ``; ``faults`` lists those that could not be read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: tuple[str, ...] = ()

    def verifying(self) -> ssl.SSLContext:
        """Return a TLS context that verifies a host's certificate and name."""
        context = httpx2.create_ssl_context(verify=True, trust_env=False)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.faults = tuple(self._load(context))
        return context

    def _load(self, context: ssl.SSLContext) -> Iterator[str]:
        """Add the authorities; yield a sentence for each that cannot be read."""
        if file := self._environ.get(FILE):
            try:
                context.load_verify_locations(cafile=file)
            except OSError as error:  # the file itself or its content is invalid
                yield f"{FILE} names {file}, {_why(error)}"
        for folder in filter(None, self._environ.get(FOLDER, "").split(os.pathsep)):
            if Path(folder).is_dir():
                context.load_verify_locations(capath=folder)
            else:
                yield f"{FOLDER} names {folder}, which is no folder here"


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "which has no PEM certificate"
    if isinstance(error, FileNotFoundError):
        return "which is not there: in a container action only files of the workspace are"
    return f"which cannot be read ({error.strerror})"
