"""The policy of each kind of failure: whether it is retried, and what a person can do.

The caps follow the policies of other clients (moby, containerd, go-containerregistry, regclient)
and GitHub's advice for secondary rate limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from ghcr_push.model import Kind


class Cause(StrEnum):
    """Where to look for the fix; the values of the output ``cause``."""

    NONE = "none"
    """Of failures that only say that the run ended, or that there is none."""
    REGISTRY = "registry"
    NETWORK = "network"
    PERMISSION = "permission"
    ENGINE = "engine"
    INPUT = "input"
    MIXED = "mixed"
    """Of a run with several causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """What the queue and the reader should do about one kind of failure.

    ``cap`` is the maximum number of attempts per unit, None for ``max-attempts``; the other
    switches are those of ``model.Failure``.
    """

    cause: Cause
    meaning: str
    """What happened, as the end of a sentence that starts with the kind's name."""
    advice: str
    retryable: bool
    pressure: bool = False
    cap: int | None = None
    holds: bool = False
    tag_only: bool = False
    free_with_wait: bool = False
    """Whether an attempt does not count if the registry named the wait."""


_transient = partial(RetryPolicy, retryable=True)
_permanent = partial(RetryPolicy, retryable=False)

POLICIES: Mapping[Kind, RetryPolicy] = {
    Kind.THROTTLED: _transient(
        cause=Cause.REGISTRY,
        meaning="the registry reports too many requests",
        advice="Lower `max-parallel`, and do not let many jobs push at the same moment "
        "(`strategy.max-parallel`, staggered schedules): they share one allowance.",
        pressure=True,
        free_with_wait=True,
    ),
    # GitHub's REST advice for the limit of the same name: a minute or more, growing, then give up
    Kind.SECONDARY_LIMIT: _transient(
        cause=Cause.REGISTRY,
        meaning="GitHub's secondary rate limit refuses all writes for some minutes",
        advice="Push fewer tags or from fewer jobs at once (`strategy.max-parallel: 4`), and run "
        "the job again after some minutes.",
        pressure=True,
        cap=6,
        holds=True,
        free_with_wait=True,
    ),
    Kind.SERVER_ERROR: _transient(
        cause=Cause.REGISTRY,
        meaning="the registry has an internal error (5xx)",
        advice="The registry kept failing: look at https://www.githubstatus.com, then run the "
        "job again; a longer `timeout` rides out longer incidents.",
        pressure=True,
    ),
    Kind.TIMEOUT: _transient(
        cause=Cause.REGISTRY,
        meaning="no answer came in time",
        advice="Lower `max-parallel` so that each upload gets more bandwidth; ghcr.io ends "
        "uploads after 10 minutes, so split very large layers.",
        pressure=True,
    ),
    # one broken connection does not show load; the queue notices when several break
    Kind.NETWORK: _transient(
        cause=Cause.NETWORK,
        meaning="the connection broke or could not be made",
        advice="Run the job again; if it stays, check the runner's network, proxy and firewall "
        "towards the registry.",
    ),
    # no load and no outage: the other side accepted bytes each time, and closed each time
    Kind.CUT_OFF: _transient(
        cause=Cause.NETWORK,
        meaning="uploads are cut off repeatedly",
        advice="Something between this job and the registry cuts long requests off: raise its "
        "time limit (of nginx: `client_body_timeout`, `proxy_read_timeout`, "
        "`proxy_send_timeout`), make the layer smaller, or lower `max-parallel`, so "
        "that each upload gets more bandwidth.",
    ),
    Kind.PROXY: _transient(
        cause=Cause.NETWORK,
        meaning="the proxy cannot be reached or refuses the connection",
        advice="Check the host, port, user and password in HTTPS_PROXY (or ALL_PROXY), and "
        "whether the proxy allows this registry; list hosts that need no proxy in "
        "NO_PROXY.",
        cap=3,
    ),
    Kind.NOT_VISIBLE: _transient(
        cause=Cause.REGISTRY,
        meaning="content that was just uploaded is not visible in the registry yet",
        advice="Run the job again; if it stays, do not push the same image from two jobs at the "
        "same time.",
        pressure=True,
        cap=6,
    ),
    Kind.AUTH_BLIP: _transient(
        cause=Cause.PERMISSION,
        meaning="access was refused, perhaps only for the moment",
        advice="Check that the token or password is valid and may push there: on ghcr.io the "
        "job needs `permissions: packages: write`, and the package must list this "
        "repository under Manage Actions access. GHCR also gives this answer in "
        "incidents: https://www.githubstatus.com",
        cap=3,
    ),
    Kind.MANGLED: _transient(
        cause=Cause.REGISTRY,
        meaning="the registry received different bytes than were sent",
        advice="Run the job again; if it stays, look for a proxy that changes uploads.",
        cap=3,
    ),
    # the queue's waits survive a restart of about two minutes
    Kind.ENGINE_RESTARTING: _transient(
        cause=Cause.ENGINE,
        meaning="the Docker Engine stopped answering during the run",
        advice="Find out why the engine stopped (`journalctl -u docker`; memory and disk of "
        "the runner), then run the job again: it does not send again what was pushed.",
    ),
    Kind.ENGINE_ERROR: _transient(
        cause=Cause.ENGINE,
        meaning="the Docker Engine could not export the image",
        advice="Read the text above; `docker image save` of that image on the runner should "
        "fail in the same way. If it does not, please report the text so that it can "
        "be recognised.",
        cap=4,
    ),
    Kind.SOURCE_UNREACHABLE: _transient(
        cause=Cause.REGISTRY,
        meaning="the source registry does not deliver the content",
        advice="Run the job again; if it stays, check the registry that `source` names, and "
        "the runner's network to it.",
    ),
    # pressure: under load an unknown answer is probably caused by load
    Kind.UNKNOWN: _transient(
        cause=Cause.REGISTRY,
        meaning="an error that this action does not recognise",
        advice="Read the text above; if running the job again helps, please report it with the "
        "details (folded in the summary, `details` in the report) so that it can be recognised.",
        pressure=True,
        cap=4,
    ),
    Kind.DENIED: _permanent(
        cause=Cause.PERMISSION,
        meaning="the credentials are valid but lack the permission",
        advice="Give the account permission to push there. On ghcr.io give the job "
        "`permissions: packages: write`, and this repository the Write role in the "
        "package's settings under Manage Actions access.",
    ),
    Kind.UNAUTHORIZED: _permanent(
        cause=Cause.PERMISSION,
        meaning="the registry does not accept the credentials, or got none",
        advice="Check `token`, or `registry`, `username` and `password`: the credentials are "
        "missing, wrong, expired or revoked.",
    ),
    Kind.NAME_REFUSED: _permanent(
        cause=Cause.INPUT,
        meaning="the registry does not accept the repository's name",
        advice="Name the image ghcr.io/OWNER/NAME, all lower case.",
    ),
    # one retry, since a new repository may be unknown for a moment
    Kind.NOT_FOUND: _transient(
        cause=Cause.INPUT,
        meaning="the registry does not know the repository",
        advice="Check the registry's host and the owner in the name; on registries other than "
        "ghcr.io you may have to create the repository first.",
        cap=2,
    ),
    Kind.TOO_LARGE: _permanent(
        cause=Cause.INPUT,
        meaning="a layer or a request is larger than the registry accepts",
        advice="Make the layer smaller: ghcr.io accepts 10 GB per layer and 10 minutes per "
        "upload; other registries may be behind a proxy with a body limit.",
    ),
    Kind.MANIFEST_REFUSED: _permanent(
        cause=Cause.INPUT,
        meaning="the registry does not accept the manifest",
        advice="The registry may not know the image's media types: build with "
        "`provenance: false` or `oci-mediatypes=false`, or update the registry.",
    ),
    Kind.UNSUPPORTED: _permanent(
        cause=Cause.REGISTRY,
        meaning="the registry does not offer this operation",
        advice="Check that the host is a container registry that accepts pushes (not a "
        "read-only mirror or cache).",
    ),
    Kind.QUOTA: _permanent(
        cause=Cause.REGISTRY,
        meaning="the registry has no space left for this account, project or repository",
        advice="Delete unused images (and run the registry's garbage collection), or raise "
        "the quota in the registry's settings or your plan.",
    ),
    Kind.READ_FORBIDDEN: _permanent(
        cause=Cause.REGISTRY,
        meaning="a policy of the registry forbids reading the image",
        advice="The registry does not deliver images that are unscanned, unsigned or "
        "vulnerable: set `verify: false` to push without reading back, or exempt the "
        "account from the policy.",
    ),
    Kind.CERTIFICATE: _permanent(
        cause=Cause.NETWORK,
        meaning="no trusted TLS connection to that host",
        advice="Check the registry's host name for a typing error; for a private certificate "
        "authority, name its certificate in `SSL_CERT_FILE` (`env:` of the step, a PEM file in "
        "the workspace), and for `docker push` install it in the engine.",
    ),
    # one retry, since a resolver's temporary failure can read the same
    Kind.HOST_UNKNOWN: _transient(
        cause=Cause.NETWORK,
        meaning="no such host",
        advice="Check the registry's host name for a typing error (ghcr.io, not ghrc.io), and "
        "that the runner can resolve it.",
        cap=2,
    ),
    Kind.IMAGE_MISSING: _permanent(
        cause=Cause.INPUT,
        meaning="the engine has no such image",
        advice="Build or pull the image in an earlier step of the same job; "
        "docker/build-push-action keeps it only with `load: true`.",
    ),
    Kind.CONTENT_MISSING: _permanent(
        cause=Cause.INPUT,
        meaning="the engine has only a part of the image",
        advice="Build or pull the image again in this job, with all of its platforms "
        "(`docker pull --platform`), or choose one that is there with `platform`.",
    ),
    Kind.SOURCE_INVALID: _permanent(
        cause=Cause.INPUT,
        meaning="the layout, archive or image that `source` names is missing, incomplete, or "
        "not readable with these credentials",
        advice="Check the path or reference, the tag and the `platform`, and that an earlier "
        "step wrote it completely; a private image needs credentials with read "
        "permission.",
    ),
    Kind.ENGINE_UNREACHABLE: _permanent(
        cause=Cause.ENGINE,
        meaning="the Docker Engine does not answer",
        advice="Mount /var/run/docker.sock or set DOCKER_HOST, check that the engine runs and "
        "that this user may use its socket.",
    ),
    Kind.ENGINE_REFUSED: _permanent(
        cause=Cause.ENGINE,
        meaning="the Docker Engine rejects a request",
        advice="Update the Docker Engine, or the tool used in its place: the text above names "
        "what it does not support.",
    ),
    Kind.IMAGE_DAMAGED: _permanent(
        cause=Cause.ENGINE,
        meaning="the engine's copy of the image is damaged",
        advice="Remove the image from the engine (`docker image rm`) and build or pull it again; "
        "if it stays, check the runner's disk.",
    ),
    Kind.DISK_FULL: _permanent(
        cause=Cause.ENGINE,
        meaning="no space is left on the runner's disk",
        advice="Free disk space before this step, for example with `docker system prune --force` "
        "or a runner with a larger disk.",
    ),
    Kind.CREDENTIALS: _permanent(
        cause=Cause.INPUT,
        meaning="the Docker configuration's credentials cannot be read, or may not be sent to the "
        "token service that the registry names",
        advice="If the text above names a credential helper, it is not installed here: give "
        "`username` and `password` (or `registry-auth`) instead. If it names a token service, "
        "check the registry's address; the name is from the registry's configuration.",
    ),
    Kind.INPUT: _permanent(
        cause=Cause.INPUT,
        meaning="an input is invalid",
        advice="Correct the reference: lower-case repository, one `:tag` of at most 128 "
        "characters, no digest.",
    ),
    Kind.INTERNAL: _permanent(
        cause=Cause.NONE,
        meaning="a bug in this action or its image",
        advice="Please report this with the details (folded in the summary, `details` in the "
        "report); another release of the action may not have it.",
    ),
    Kind.PROTECTED: _permanent(
        cause=Cause.INPUT,
        meaning="`protect` forbids moving this tag to another image",
        advice="Give the new image a new tag, or remove the tag's pattern from `protect`.",
        tag_only=True,
    ),
    Kind.OVERTAKEN: _permanent(
        cause=Cause.INPUT,
        meaning="another client moved the tag during the push",
        advice="Keep runs that push the same tag apart with the workflow's `concurrency:`.",
        tag_only=True,
    ),
    Kind.TAG_REFUSED: _permanent(
        cause=Cause.INPUT,
        meaning="the registry does not accept this tag",
        advice="Use another tag: the registry does not allow moving this one, or does not "
        "accept its name.",
        tag_only=True,
    ),
    Kind.CANCELLED: _permanent(
        cause=Cause.NONE,
        meaning="the run was cancelled first",
        advice="Run the job again to push what is missing; it does not send again what was pushed.",
    ),
    Kind.DEADLINE: _permanent(
        cause=Cause.NONE,
        meaning="the run's `timeout` passed first",
        advice="Raise `timeout`, or push fewer tags in one step; the next run does not send "
        "again what was pushed.",
    ),
    Kind.FAIL_FAST: _permanent(
        cause=Cause.NONE,
        meaning="another target failed and `fail-fast` ended the run",
        advice="See the target that failed first; without `fail-fast` the others would have been "
        "tried.",
    ),
    Kind.HELD_BACK: _permanent(
        cause=Cause.NONE,
        meaning="another target failed and `all-or-nothing` left every tag unchanged",
        advice="See the target that failed; the next run does not send uploaded layers again. "
        "Without `all-or-nothing` this tag would have been written.",
    ),
}
