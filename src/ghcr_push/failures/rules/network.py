"""No complete answer came: the connection, the name, the certificate or the time failed."""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

NETWORK: tuple[Rule, ...] = (
    Rule(
        rows=("N5",),
        title="No trusted TLS connection",
        why="A typing error in the host (docker/build-push-action#836) or a private "
        "certificate authority; it is permanent.",
        signs=(
            Match(text=r"\bx509: ", answered=False),
            Match(text=r"\btls: (?:handshake failure|failed to verify)", answered=False),
            Match(text=r"\bcertificate[ _]verify[ _]failed\b", answered=False),
        ),
        classification=Classification(kind=Kind.CERTIFICATE),
    ),
    Rule(
        rows=("N15",),
        title="The registry speaks plain HTTP",
        why="The client uses TLS on a port without it (vfarcic/books-ms#7), or the other way "
        "round (moby/moby#20104).",
        signs=(
            Match(text=r"\bserver gave http response to https client\b", answered=False),
            Match(text=r"\bfirst record does not look like a tls handshake\b", answered=False),
            Match(text=r"\btls: oversized record received\b", answered=False),
            Match(text=r"\b(?:wrong[ _]version[ _]number|record layer failure)\b", answered=False),
            # the opposite case: plain http to a port that expects TLS
            Match(text=r"\bsent (?:an http request to an|to) https (?:server|port)\b"),
            Match(text=r'\bmalformed http response "\\x15', answered=False),
        ),
        classification=Classification(
            kind=Kind.CERTIFICATE,
            advice="Check the registry's port; for a registry without TLS name it in "
            "`insecure-registries`, and in the engine's configuration as well.",
        ),
    ),
    Rule(
        rows=("N16",),
        title="The registry requires a client certificate",
        why="It authenticates clients by TLS certificates, which only the engine can present.",
        signs=(
            Match(text=r"\bno required ssl certificate was sent\b"),
            Match(text=r"\bcertificate required\b"),
        ),
        classification=Classification(
            kind=Kind.CERTIFICATE,
            advice="Put the client's certificate into the engine's `/etc/docker/certs.d/HOST` and "
            "push with `transport: engine`.",
        ),
    ),
    Rule(
        rows=("N21",),
        title="The engine's proxy cannot be reached",
        why=(
            "Its settings name a proxy that no longer exists "
            "(docker-archive-public/docker.kitematic#3573)."
        ),
        signs=(Match(text=r"\bproxyconnect tcp: ", answered=False),),
        classification=Classification(
            kind=Kind.PROXY,
            advice="Check HTTPS_PROXY and NO_PROXY in the engine's settings (`docker info` shows "
            "them), and that the proxy runs.",
        ),
    ),
    Rule(
        rows=("N7",),
        title="The resolver did not answer",
        why="Temporary failures of the runner's DNS (docker/build-push-action#719, #520).",
        signs=(
            Match(text=r"\blookup\b.{0,300}(?:i/o timeout|server misbehaving|connection refused)"),
            Match(text=r"\btemporary failure in name resolution\b"),
        ),
        classification=Classification(kind=Kind.NETWORK),
    ),
    Rule(
        rows=("N8",),
        title="No such host",
        why="A typing error (pennsignals/publish_docker-compose#4), or a temporary failure if "
        "the host worked before (aws-actions/amazon-ecr-login#475).",
        signs=(
            Match(text=r"\bno such host\b", answered=False),
            Match(text=r"\bname or service not known\b", answered=False),
            Match(text=r"\bno address associated with hostname\b", answered=False),
        ),
        classification=Classification(kind=Kind.HOST_UNKNOWN, unconnected=True),
        after_success=Classification(kind=Kind.NETWORK),
    ),
    Rule(
        rows=("N12", "N13"),
        title="A request could not be repeated inside the client",
        why="The registry closed the connection during a request that the client could not "
        "repeat (docker/build-push-action#626); a new push can.",
        signs=(
            Match(text=r"\bcannot reuse body\b"),
            Match(text=r": no response$"),
        ),
        classification=Classification(kind=Kind.SERVER_ERROR),
    ),
    Rule(
        rows=("N10",),
        title="The commit's answer did not come within 30 seconds",
        why="A fixed limit of the containerd store; the blob is often there anyway, so few "
        "attempts are enough (moby/moby#53700, containerd/containerd#13164).",
        signs=(Match(text=r"\btimeout awaiting response headers\b"),),
        classification=Classification(kind=Kind.TIMEOUT, cap=3),
    ),
    Rule(
        rows=("N4", "N6", "N9", "N11", "N14"),
        title="No answer in time",
        why="Docker gives the first request and the token 15 seconds and one attempt. After a "
        "time-out the write may have taken effect: in one case the edge answered 201 "
        "after 19 seconds (docker/build-push-action#251).",
        signs=(
            Match(text=r"\btls handshake timeout\b"),
            Match(text=r"\bi/o timeout\b"),
            Match(text=r"\b(?:connection|operation|request) timed out\b"),
            Match(text=r"\bclient\.timeout\b"),
            Match(text=r"\bdeadline exceeded\b"),
            Match(text=r"\bcontext cancell?ed\b"),
            Match(text=r"\b(?:connect|read|write|pool) ?timeout\b"),
            Match(status=(408,)),
        ),
        classification=Classification(kind=Kind.TIMEOUT),
    ),
    Rule(
        rows=("N20",),
        title="No connection could be made",
        why="Nothing listens at that address, or there is no route to it: an outage, or a "
        "mistyped host or port. A registry that was never reached in the run is given up "
        "after about a minute.",
        signs=(
            Match(text=r"\bconnection refused\b"),
            Match(text=r"\bno route to host\b"),
            Match(text=r"\bnetwork is (?:unreachable|down)\b"),
            Match(text=r"\bconnection attempts failed\b"),
            Match(text=r"\bconnect: operation not permitted\b"),
        ),
        classification=Classification(kind=Kind.NETWORK, unconnected=True),
    ),
    Rule(
        rows=("N1", "N2", "N3"),
        title="The connection broke",
        why="Closed by the peer or on the way, singly or in series "
        "(felddy/foundryvtt-docker#358, docker/buildx#834).",
        signs=(
            Match(text=r"\bEOF\b"),
            Match(text=r"\bserver closed idle connection\b"),
            Match(text=r"\bconnection reset\b"),
            Match(text=r"\bbroken pipe\b"),
            Match(text=r"\buse of closed network connection\b"),
            Match(text=r"\bserver disconnected\b"),
            Match(text=r"\btransport connection broken\b"),
            Match(text=r"\bhttp2: (?:client connection lost|server sent goaway)\b"),
            Match(text=r"\bstream error: stream id\b"),
            Match(text=r"\btls: (?:bad record mac|internal error)\b"),
            Match(text=r"\bpeer closed connection\b"),
            Match(text=r"\b(?:connect|read|write|remoteprotocol)error\b"),
        ),
        classification=Classification(kind=Kind.NETWORK),
    ),
)
