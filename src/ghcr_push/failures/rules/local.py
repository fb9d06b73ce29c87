"""Failures on this side, before or without any answer of a registry."""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

LOCAL: tuple[Rule, ...] = (
    Rule(
        rows=("L1",),
        title="The tag is not in the engine's store",
        why="No request is made. A builder with a container driver keeps its result out of "
        "the engine unless it is loaded.",
        signs=(
            Match(text=r"\btag does not exist\b", answered=False),
            Match(text=r"\bimage does not exist locally\b", answered=False),
            Match(text=r"\bno such image\b", answered=False),
            Match(text=r"\bimage not known$", answered=False),  # Podman
            # the classic store reports nothing more about a name that it cannot save
            Match(text=r"\breference does not exist\b", answered=False),
        ),
        classification=Classification(kind=Kind.IMAGE_MISSING),
    ),
    Rule(
        rows=("L2",),
        title="Bad reference",
        why="The docker command checks names before any request.",
        signs=(
            Match(text=r"\binvalid reference format\b", answered=False),
            Match(text=r"\brepository name .{0,300}must be lowercase\b", answered=False),
            Match(text=r"\bcannot push a digest reference\b", answered=False),
            Match(text=r"\btag can't be used with --all-tags", answered=False),
        ),
        classification=Classification(kind=Kind.INPUT),
    ),
    Rule(
        rows=("L3",),
        title="No space left on the engine's disk",
        why="The daemon refuses to retry this itself; nothing in the run frees space.",
        signs=(Match(text=r"\bno space left on device\b", answered=False),),
        classification=Classification(kind=Kind.DISK_FULL),
    ),
    Rule(
        rows=("L4",),
        title="The engine does not answer",
        why="It is not running, or its socket is at another path. An engine that answered "
        "earlier in the run may be restarting: the request is retried for some minutes "
        "(`engine-restarting`).",
        signs=(
            Match(text=r"\bcannot connect to the docker daemon\b", answered=False),
            Match(text=r"\bfailed to connect to the docker api\b", answered=False),
            Match(text=r"\berror during connect:", answered=False),
        ),
        classification=Classification(
            kind=Kind.ENGINE_UNREACHABLE,
            advice="Check that the Docker Engine runs and that its socket is mounted: `-v "
            "/var/run/docker.sock:/var/run/docker.sock`, or set DOCKER_HOST for "
            "another address.",
        ),
    ),
    Rule(
        rows=("L5",),
        title="No permission to use the engine's socket",
        why="The socket exists, but its mode or group excludes this user.",
        signs=(
            Match(
                text=r"\bpermission denied while trying to connect to the docker\b",
                answered=False,
            ),
        ),
        classification=Classification(
            kind=Kind.ENGINE_UNREACHABLE,
            advice="Let this user use the socket /var/run/docker.sock: run the container as "
            "root, or with the socket's group (`--group-add`).",
        ),
    ),
    Rule(
        rows=("L6",),
        title="A credential helper is missing",
        why="The Docker configuration names a helper program that is not installed here.",
        signs=(
            Match(text=r"\berror getting credentials\b", answered=False),
            Match(text=r"\bdocker-credential-", answered=False),
        ),
        classification=Classification(kind=Kind.CREDENTIALS),
    ),
    Rule(
        rows=("L7",),
        title="The docker command is missing or too old",
        why="A bug in the action's image.",
        signs=(
            Match(text=r"\bdocker: (?:command )?not found\b", answered=False),
            Match(text=r"\bdocker: permission denied\b", answered=False),
            Match(text=r"\bunknown (?:shorthand )?flag\b", answered=False),
            Match(text=r"\bis not a docker command\b", answered=False),
            Match(text=r"\bdocker: unknown command\b", answered=False),
        ),
        classification=Classification(kind=Kind.INTERNAL),
    ),
    Rule(
        rows=("L8",),
        title="Parts of a multi-platform image are not local",
        why="The containerd store can hold an index without the content of all its platforms. "
        "Engine 26 refuses to push it; 28 pushes the one platform that it has and says "
        "so. A save fails before it starts. Reports: kuskoman/logstash-exporter#346, "
        "docker/cli#5476, moby/moby#52897.",
        signs=(
            # a save that finds, in mid-stream, that the store has lost a blob
            Match(text=r"\bblob not found: not found\b", answered=False),
            Match(
                text=r"\bdoes not (?:provide|match) (?:the specified|any) platform\b",
                answered=False,
            ),
            Match(text=r"\bcontent digest <digest>: not found\b", answered=False),
            Match(text=r"\bno suitable export target found\b", answered=False),
            Match(text=r"\bno match for platform in manifest\b", answered=False),
        ),
        classification=Classification(kind=Kind.CONTENT_MISSING),
    ),
    Rule(
        rows=("L9",),
        title="Layers of a kind that the engine cannot push",
        why="The image has foreign or unknown layer media types.",
        signs=(Match(text=r"\bunsupported layer media ?type\b", answered=False),),
        classification=Classification(
            kind=Kind.UNSUPPORTED,
            advice="Build the image with ordinary tar layers (gzip or zstd); the engine "
            "cannot push its present layers.",
        ),
    ),
    Rule(
        rows=("L11",),
        title="Engine and client use different API versions",
        why="DOCKER_API_VERSION in the job's environment keeps the client from negotiating a "
        "version with the engine. Engine 29 supports none below 1.44.",
        signs=(
            Match(text=r"\bclient (?:version \S+ )?is too (?:old|new)\b", answered=False),
            Match(text=r"\bclient is newer than server\b", answered=False),
        ),
        classification=Classification(
            kind=Kind.ENGINE_REFUSED,
            advice="Remove DOCKER_API_VERSION from the job's environment; if it is not set, "
            "update the Docker Engine (20.10 and later are supported), or this action.",
        ),
    ),
    Rule(
        rows=("L12",),
        title="The engine's copy of the image is damaged",
        why="A layer's file has changed since it was stored (a full or failing disk, a virus "
        "scanner), or is lost. A retry cannot help: moby/moby#33991, "
        "docker/for-linux#1307.",
        signs=(
            Match(text=r"\bfile integrity checksum failed for\b", answered=False),
            Match(text=r"\blayer does not exist\b", answered=False),
            Match(
                text=r"/(?:overlay2|imagedb|layerdb|blobs/sha256)/\S+: no such file or directory",
                answered=False,
            ),
            Match(text=r": (?:structure needs cleaning|input/output error)\b", answered=False),
        ),
        classification=Classification(kind=Kind.IMAGE_DAMAGED),
    ),
)
