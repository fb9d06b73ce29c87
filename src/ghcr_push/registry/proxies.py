"""The proxy for a host, by the variables that curl, Go and Python use."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it."""

    variable: str
    address: str = field(repr=False)
    """The value of the variable: it may contain a password."""

    @property
    def url(self) -> httpx2.URL:
        """Its URL; without a scheme it is plain http. Raises ``httpx2.InvalidURL``."""
        return httpx2.URL(self.address if "://" in self.address else f"http://{self.address}")

    def __str__(self) -> str:
        """Its name in messages."""
        return f"the proxy {self.url.host}:{self.url.port or ''}".rstrip(":")


class Proxies:
    """The proxies of ``environ``: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, and NO_PROXY.

    The lower-case name of a variable wins; an empty value means no proxy.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._excepted = [entry for entry in excepted.replace(",", " ").split() if entry]

    def before(self, url: httpx2.URL) -> Proxy | None:
        """Return the proxy for ``url``, or None for a direct connection."""
        named = self._named(f"{url.scheme}_proxy") or self._named("all_proxy")
        if named is None or not named.address:
            return None
        if any(_covers(entry.lower(), url) for entry in self._excepted):
            return None
        return named

    def _named(self, lower: str) -> Proxy | None:
        for name in (lower, lower.upper()):
            if name in self._environ:
                return Proxy(name, self._environ[name].strip())
        return None


def _covers(entry: str, url: httpx2.URL) -> bool:
    """Return whether an entry of NO_PROXY matches ``url``: a host, domain, address or network."""
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2]
    if (network := _network(entry)) is not None:
        return _is_in(url.host, network)
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        if int(port) != (url.port or {"https": 443, "http": 80}.get(url.scheme)):
            return False
        entry = name
    if (network := _network(entry.strip("[]"))) is not None:
        return _is_in(url.host, network)
    name = entry.removeprefix("*").removeprefix(".")
    return bool(name) and (url.host == name or url.host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
