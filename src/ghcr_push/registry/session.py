"""The endpoints and tokens of a run's registries, for every kind of request."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import httpx2

from ghcr_push import tracing
from ghcr_push.credentials import Credential
from ghcr_push.failures import PushError
from ghcr_push.model import Kind
from ghcr_push.references import DEFAULT_REGISTRY, Repository, is_digest
from ghcr_push.registry.auth import Authorization, Authorizer, Endpoint
from ghcr_push.registry.challenges import parse_challenges
from ghcr_push.registry.errors import ConnectError, failure, shown
from ghcr_push.registry.http import MOST_TEXT, ApiResponse, Connections, Stream, TlsPolicy
from ghcr_push.registry.single_flight import SingleFlight

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
"""Redirects that a write may follow: the others would turn it into a GET (RFC 9110, 15.4)."""

_HUB = "registry-1.docker.io"
"""The host of docker.io's API: references use another name."""


class AstrayError(PushError):
    """The registry redirected the request, and no answer came from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request to a repository: ``path`` starts below its name, ``most`` bounds the answer.

    ``location`` is the whole URL if the registry named one. ``scope`` is that of the token, by
    default ``push_scope``. ``streamed`` leaves the body of a success to the caller.
    """

    method: str
    repository: Repository
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Stream | None = None
    most: int = MOST_TEXT
    location: httpx2.URL | None = None
    scope: str | None = None
    streamed: bool = False

    @property
    def subject(self) -> str:
        """Return the tag, manifest or blob in the path, if it has one."""
        kind, _, name = self.path.partition("/")
        if kind not in {"manifests", "blobs"} or name.startswith("uploads/"):
            return str(self.repository)
        return f"{self.repository}{'@' if is_digest(name) else ':'}{name}"

    def url(self, endpoint: Endpoint) -> httpx2.URL:
        """Return the URL at ``endpoint``."""
        if self.location is not None:
            return self.location
        url = endpoint.origin.join(f"/v2/{self.repository.name}/{self.path}")
        return url.copy_merge_params(self.query) if self.query else url


def push_scope(repository: Repository) -> str:
    """Return the scope to write and to read: one for both, so that one token serves a run."""
    return f"repository:{repository.name}:pull,push"


def pull_scope(repository: Repository) -> str:
    """Return the scope to read, for a source, which may belong to others."""
    return f"repository:{repository.name}:pull"


def mount_scope(repository: Repository, mount_from: Repository) -> str:
    """Return the scope to look for a blob in ``mount_from`` and to mount it into ``repository``."""
    return f"{push_scope(repository)} {pull_scope(mount_from)}"


class Session:
    """Endpoints and tokens of a run, determined on first use and kept; ``clock`` is monotonic."""

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        connections: Connections,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._connections = connections
        self._authorizer = Authorizer(credentials, connections, clock)
        self._endpoints: dict[str, Endpoint] = {}
        self._pings: SingleFlight[str, Endpoint] = SingleFlight()

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Return the answer, whatever its status; retry once if our token is no longer valid.

        Follows up to five redirects; for a write only those that keep the method. Raises
        ``PushError`` if no answer came, ``AstrayError`` if none came after a redirect.
        """
        with tracing.about(request.subject):
            endpoint = await self.endpoint(request.repository.registry)
            try:
                return await self._authorized(request, endpoint)
            except PushError as error:
                if not error.evidence.unconnected:
                    raise
                # the registry itself has answered, if only once
                raise type(error)(replace(error.evidence, unconnected=False)) from error

    async def ask(self, request: ApiRequest, statuses: Collection[int]) -> ApiResponse:
        """Return the answer; raise the refusal unless its status is in ``statuses``."""
        answer = await self.send(request)
        self.expect(answer, statuses)
        return answer

    async def _authorized(self, request: ApiRequest, endpoint: Endpoint) -> ApiResponse:
        scope = request.scope or push_scope(request.repository)
        authorization = await self._authorizer.authorize(endpoint, scope)
        answer = await self._send(request, endpoint, authorization)
        if (
            answer.status == httpx2.codes.UNAUTHORIZED
            and answer.url.origin == endpoint.origin.origin
        ):
            endpoint = self._learn(endpoint, answer)
            renewed = await self._authorizer.renew(endpoint, scope, authorization)
            if renewed is not None:
                return await self._send(request, endpoint, renewed)
        return answer

    async def endpoint(self, registry: str) -> Endpoint:
        """Return scheme, address and challenges of ``registry``, found once, without login."""

        async def first_ping() -> Endpoint:
            self._endpoints[registry] = await self._first_ping(registry)
            return self._endpoints[registry]

        known = self._endpoints.get(registry)
        return known or await self._pings.join(registry, first_ping)

    def refusal(self, answer: ApiResponse) -> PushError:
        """Return the error for an answer other than the expected one."""
        if answer.status in _REDIRECTS:
            where = answer.headers.get("Location", "nowhere").partition("?")[0]
            return failure(
                f"{answer.request}: redirected to {where}, which is not followed for a write",
                Kind.UNSUPPORTED,
                answer.status,
            )
        return answer.refusal()

    def expect(self, answer: ApiResponse, statuses: Collection[int]) -> None:
        """Raise the refusal unless the answer's status is in ``statuses``."""
        if answer.status not in statuses:
            raise self.refusal(answer)

    async def _send(
        self, request: ApiRequest, endpoint: Endpoint, authorization: Authorization
    ) -> ApiResponse:
        """Send one request and follow its redirects.

        The authorization goes to the registry's own origin only; https never becomes http.
        """
        answer = await self._send_to(request.url(endpoint), request, endpoint, authorization)
        try:
            for _ in range(_MOST_REDIRECTS):
                if not _is_followed(answer, request.method):
                    return answer
                followed = await self._send_to(
                    location_of(answer), request, endpoint, authorization
                )
                answer = replace(followed, redirected=True)
        except PushError as error:
            raise AstrayError(error.evidence) from error
        if not _is_followed(answer, request.method):
            return answer
        raise AstrayError(
            failure(
                f"{answer.request}: more than {_MOST_REDIRECTS} redirects",
                Kind.UNSUPPORTED,
                answer.status,
            ).evidence
        )

    async def _send_to(
        self, url: httpx2.URL, request: ApiRequest, endpoint: Endpoint, authorization: Authorization
    ) -> ApiResponse:
        at_home = url.origin == endpoint.origin.origin
        shows = {"Authorization": authorization.header} if authorization.header else {}
        return await self._connections.send(
            request.method,
            url,
            trust=endpoint.trust if at_home else None,
            headers={**request.headers, **shows} if at_home else request.headers,
            content=request.content,
            most=request.most,
            streamed=request.streamed,
        )

    async def _first_ping(self, registry: str) -> Endpoint:
        """Try https, and plain http only if it is allowed and no connection was made over TLS."""
        host = _HUB if registry == DEFAULT_REGISTRY else registry
        try:
            origin = httpx2.URL(f"https://{host}/")
        except httpx2.InvalidURL as error:
            raise failure(f"{registry} is no host: {error}", Kind.HOST_UNKNOWN) from error
        trust = self._connections.trust_in(origin)
        endpoint = Endpoint(registry=registry, origin=origin, trust=trust)
        try:
            return await self._ping(endpoint)
        except ConnectError as error:
            if trust is TlsPolicy.VERIFIED:
                raise
            no_tls = error
        try:
            return await self._ping(replace(endpoint, origin=origin.copy_with(scheme="http")))
        except PushError as error:
            if error.evidence.status == _MEANT_FOR_TLS:
                raise no_tls from error
            raise

    async def _ping(self, endpoint: Endpoint) -> Endpoint:
        url = endpoint.origin.join("/v2/")
        answer = await self._connections.send("GET", url, trust=endpoint.trust, headers={})
        if answer.status == httpx2.codes.OK:
            return endpoint
        if answer.status == httpx2.codes.UNAUTHORIZED:
            return self._learn(endpoint, answer)
        if answer.status in _IN_TROUBLE or httpx2.codes.is_server_error(answer.status):
            raise self.refusal(answer)
        raise failure(
            f"{answer.request}: HTTP {answer.status}, so this is not a container registry",
            Kind.UNSUPPORTED,
            answer.status,
        )

    def _learn(self, endpoint: Endpoint, answer: ApiResponse) -> Endpoint:
        """Remember the challenges of ``answer``; an answer without challenges changes nothing."""
        challenges = parse_challenges(answer.headers.get_list("WWW-Authenticate"))
        learned = replace(endpoint, challenges=challenges or endpoint.challenges)
        if endpoint.registry in self._endpoints:
            self._endpoints[endpoint.registry] = learned
        return learned


_MEANT_FOR_TLS = 400
"""The answer of servers that speak TLS (Go's, nginx, Apache) to plain http."""

_IN_TROUBLE = frozenset({403, 408, 429})
"""Besides 5xx, a ping's answers from a rate-limited or overloaded registry."""


def _is_followed(answer: ApiResponse, method: str) -> bool:
    reads = method in {"GET", "HEAD"}
    return answer.status in (_REDIRECTS if reads else _KEEP_METHOD)


def location_of(answer: ApiResponse) -> httpx2.URL:
    """Return the URL in ``answer``'s ``Location``; raise if there is none or https becomes http."""
    location = answer.headers.get("Location", "")
    try:
        url = answer.url.join(location) if location else httpx2.URL()
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if not url.host or url.scheme not in {"http", "https"}:
        why = "no Location" if not location else "an invalid Location"
    elif answer.url.scheme == "https" and url.scheme == "http":
        why = f"a Location away from https, {shown(url)}"
    else:
        return url
    raise failure(
        f"{answer.request}: the answer {answer.status} has {why}", Kind.UNSUPPORTED, answer.status
    )


def same_digest(answer: ApiResponse, expected: str, seen: str | None) -> None:
    """Raise if both are digests by one algorithm and differ; others cannot be compared."""
    if seen and expected != seen and expected.partition(":")[0] == seen.partition(":")[0]:
        raise failure(
            f"{answer.request}: the registry answered with {seen} instead of {expected}",
            Kind.MANGLED,
            answer.status,
        )
