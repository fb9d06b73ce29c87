"""Authentication with registries: parses challenges; fetches, keeps and protects tokens.

The token service follows the distribution project ("Token Authentication Specification" and "OAuth2
token authentication"), like those of ghcr.io and Docker Hub.
"""

import ipaddress
import socket
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import httpx2

from ghcr_push.credentials import Credential
from ghcr_push.documents import json_object
from ghcr_push.failures import PushError
from ghcr_push.model import Kind
from ghcr_push.registry.challenges import Challenge
from ghcr_push.registry.errors import failure, shown
from ghcr_push.registry.http import ApiResponse, Connections, TlsPolicy
from ghcr_push.registry.single_flight import SingleFlight

# the default for a token service that names no lifetime
_DEFAULT_LIFETIME = 60.0
# a year; a longer lifetime is an error
_LONGEST_LIFETIME = 365 * 24 * 3600.0
# renewed this long before it expires, so that it does not expire in transit; at most a tenth
_LEEWAY = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A registry's address, how far it is trusted, and the challenges it makes."""

    registry: str
    """Its name in references and credentials."""
    origin: httpx2.URL
    trust: TlsPolicy
    challenges: tuple[Challenge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """An ``Authorization`` header, or none, for a registry; ``fresh``: fetched for this request."""

    header: str | None = field(default=None, repr=False)
    fresh: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    header: str = field(repr=False)
    renew_at: float


class Authorizer:
    """Answers challenges with the ``credentials`` (by registry), one token per registry and scope.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        connections: Connections,
        clock: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._connections = connections
        self._clock = clock
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._flights: SingleFlight[tuple[str, str], _Token] = SingleFlight()

    async def authorize(self, endpoint: Endpoint, scope: str) -> Authorization:
        """Return the authorization for ``endpoint`` and ``scope``; fetch a token if needed."""
        bearer = _challenge(endpoint, "bearer")
        if bearer is not None and bearer.parameters.get("realm"):
            return await self._bearer(endpoint, bearer, scope)
        credential = self._credentials.get(endpoint.registry)
        if _challenge(endpoint, "basic") is None or credential is None or not credential.password:
            return Authorization()
        return Authorization(header=_basic(credential))

    async def renew(
        self, endpoint: Endpoint, scope: str, refused: Authorization
    ) -> Authorization | None:
        """Return a new authorization after ``refused`` was rejected; None if that cannot help.

        The token is dropped in any case: permissions may have changed since it was issued.
        """
        cached = self._tokens.get((endpoint.registry, scope))
        if cached is not None and cached.header == refused.header:
            del self._tokens[endpoint.registry, scope]
        if refused.fresh and refused.header is not None:
            return None
        renewed = await self.authorize(endpoint, scope)
        return None if renewed.header == refused.header else renewed

    async def _bearer(self, endpoint: Endpoint, bearer: Challenge, scope: str) -> Authorization:
        key = (endpoint.registry, scope)
        cached = self._tokens.get(key)
        if cached is not None and self._clock() < cached.renew_at:
            return Authorization(header=cached.header, fresh=False)
        credential = self._credentials.get(endpoint.registry)
        own = credential is not None and credential.own_service
        service = token_service(bearer.parameters["realm"], endpoint, own=own)

        async def fetch() -> _Token:
            token = await self._fetch(endpoint, service, bearer, scope)
            self._tokens[key] = token
            return token

        return Authorization(header=(await self._flights.join(key, fetch)).header)

    async def _fetch(
        self, endpoint: Endpoint, service: httpx2.URL, bearer: Challenge, scope: str
    ) -> _Token:
        asked_at = self._clock()
        answer = await self._ask(endpoint, service, bearer, scope)
        if answer.status != httpx2.codes.OK:
            evidence = answer.refusal().evidence
            message = f"token service: {evidence.message}"
            raise PushError(replace(evidence, message=message))
        header, lifetime = _read_token(answer)
        return _Token(header=header, renew_at=asked_at + lifetime - min(_LEEWAY, lifetime / 10))

    async def _ask(
        self, endpoint: Endpoint, service: httpx2.URL, bearer: Challenge, scope: str
    ) -> ApiResponse:
        trust = endpoint.trust if service.host == endpoint.origin.host else None
        name = bearer.parameters.get("service")
        named = {} if name is None else {"service": name}
        credential = self._credentials.get(endpoint.registry)
        if credential is not None and credential.identity_token:
            form = httpx2.QueryParams(
                {
                    **named,
                    "scope": scope,
                    "grant_type": "refresh_token",
                    "client_id": "ghcr-push",
                    "refresh_token": credential.identity_token,
                }
            )
            return await self._connections.send(
                "POST",
                service,
                trust=trust,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                content=str(form).encode(),
            )
        headers = {} if credential is None else {"Authorization": _basic(credential)}
        # one parameter for each: Pulp grants nothing for several in one
        asked = service.copy_merge_params({**named, "scope": scope.split()})
        return await self._connections.send("GET", asked, trust=trust, headers=headers)


def _challenge(endpoint: Endpoint, scheme: str) -> Challenge | None:
    return next((each for each in endpoint.challenges if each.scheme == scheme), None)


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def token_service(realm: str, endpoint: Endpoint, *, own: bool = False) -> httpx2.URL:
    """Return the URL in ``realm``; raise if ``endpoint`` may not name it.

    A registry over https may name any service: it could ask for the password itself. A registry
    over plain http may name a service over https, or one on its own host. None may name a
    link-local address: clouds answer there with secrets to any process on the machine. ``own``: on
    the registry's own host or a subdomain only.
    """
    try:
        # olareg names a path of its own host
        url = endpoint.origin.join(realm)
    except httpx2.InvalidURL:
        raise _refused(endpoint, "an invalid address", "which is not a URL") from None
    if not url.host or url.scheme not in {"http", "https"}:
        raise _refused(endpoint, realm[:100], "which is not an http or https URL with a host")
    at_home = endpoint.origin.scheme == "http" and url.host == endpoint.origin.host
    if url.scheme == "http" and not at_home:
        raise _refused(endpoint, shown(url), "credentials leave this machine by https only")
    if is_link_local(url.host):
        raise _refused(endpoint, url.host, "nothing is sent to a link-local address")
    home = endpoint.origin.host
    if own and url.host != home and not url.host.endswith(f".{home}"):
        raise _refused(endpoint, url.host, "the job's token goes to the registry's own service")
    return url


def is_link_local(host: str) -> bool:
    """Return whether ``host`` is in 169.254.0.0/16 or fe80::/10, in any spelling."""
    address = _address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_link_local


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:  # as resolvers read them: 2852039166, 0xa9fea9fe, 169.16689662
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _refused(endpoint: Endpoint, named: str, why: str) -> PushError:
    return failure(
        f"the registry {endpoint.registry} ({endpoint.origin.host}) names {named} as its token "
        f"service: {why}",
        Kind.CREDENTIALS,
    )


def _read_token(answer: ApiResponse) -> tuple[str, float]:
    """Return the header for the token in an answer, and its lifetime in seconds."""
    fields = json_object(answer.body) or {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
        raise failure(
            f"{answer.request}: the token service's answer has no token",
            Kind.AUTH_BLIP,
            answer.status,
        )
    lifetime = fields.get("expires_in")
    if not isinstance(lifetime, int | float) or not 0 < lifetime < _LONGEST_LIFETIME:
        lifetime = _DEFAULT_LIFETIME
    return f"Bearer {token}", lifetime
