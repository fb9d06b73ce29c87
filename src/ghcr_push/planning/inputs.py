"""The one table of inputs, and the one of outputs: names, defaults, order and what they mean.

``action.yml``, the README and the command line's options are held to these tables by a test.
Imported first of all when the action starts, so it imports next to nothing itself.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input: ``name`` as in ``action.yml``, ``default`` as the text a user would write.

    ``description`` is one sentence. A ``secret`` is never shown, and never an option of the
    command line, where every user of the machine could read it.
    """

    name: str
    default: str = ""
    description: str
    secret: bool = False
    from_context: str = ""
    """The default in ``action.yml`` where only the runner knows it, as an expression."""

    @property
    def option(self) -> str:
        """The option of the command line."""
        return f"--{self.name}"

    @property
    def is_flag(self) -> bool:
        """Whether it is on or off."""
        return self.default in {"true", "false"}

    @property
    def variable(self) -> str:
        """The environment variable by which the runner hands it to a container action."""
        return f"INPUT_{self.name.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output: ``name`` as in ``action.yml``, ``description`` one sentence."""

    name: str
    description: str


INPUTS = (
    Input(
        name="tags",
        description=(
            "What to publish, one per line or separated by commas: full references, bare tags "
            "of `image`, `SOURCE => TARGET`, a JSON array, or the JSON output of "
            "docker/metadata-action; at most 131,072 bytes (about 2,300 lines of 55 characters), "
            "for more there is `tags-file`."
        ),
    ),
    Input(
        name="tags-file",
        description=(
            "File with more of what `tags` takes, in the same form, such as a list that is too "
            "long for it; the path is seen from the workspace."
        ),
    ),
    Input(
        name="allow-empty",
        default="false",
        description="Whether an empty `tags` is a success with nothing done, not bad input.",
    ),
    Input(
        name="image",
        description="Repository that bare tags are joined to, such as `ghcr.io/acme/app`.",
    ),
    Input(
        name="source",
        description=(
            "What to push: a local image by name, ID or digest, `oci-layout:DIR[:TAG]`, "
            "`oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REFERENCE]` or `docker://REFERENCE` "
            "(an image in a registry); by default each target's own name."
        ),
    ),
    Input(
        name="transport",
        default="auto",
        description=(
            "How layers are uploaded: `direct` (by the action itself), `engine` (by `docker "
            "push`), or `auto` (the action wherever it can; large images of a containerd image "
            "store by `docker push` first)."
        ),
    ),
    Input(
        name="platform",
        description=(
            "The one platform to push of a multi-platform source, such as `linux/arm64`; by "
            "default all."
        ),
    ),
    Input(
        name="referrers",
        default="false",
        description=(
            "Whether to bring along what refers to an image of a layout, an OCI archive or a "
            "registry: signatures, SBOMs and attestations."
        ),
    ),
    Input(
        name="compress-layers",
        default="false",
        description=(
            "Whether to compress layers of a containerd image store, a layout or an OCI archive "
            "that are not compressed; the digest of such an image changes."
        ),
    ),
    Input(
        name="annotations",
        description=(
            "Annotations for the index that several sources become, one `KEY=VALUE` or "
            "`index:KEY=VALUE` a line, as docker/metadata-action gives them; those of its images "
            "in it with `manifest-descriptor:` or `manifest-descriptor[PLATFORM]:`."
        ),
    ),
    Input(
        name="mount-from",
        description=(
            "Repositories of the same registry whose layers are mounted instead of sent, such as "
            "`ghcr.io/acme/base` or, on every target's registry, `acme/base`."
        ),
    ),
    Input(
        name="spool-size",
        default="2GiB",
        description=(
            "Disk space for layers that are being uploaded, such as `2GiB` or `500MB`; while it is "
            "full, reading the image waits."
        ),
    ),
    Input(
        name="max-parallel",
        default="4",
        description="Most requests that write at a time, 1 to 64.",
    ),
    Input(
        name="adaptive",
        default="true",
        description=(
            "Whether to lower and raise parallelism with the registry's condition, up to "
            "`max-parallel`; if not, more than the registry takes can cost tags."
        ),
    ),
    Input(
        name="max-attempts",
        default="8",
        description=(
            "Attempts for each blob, manifest or tag while failures are transient, 1 to 100."
        ),
    ),
    Input(
        name="backoff-initial",
        default="500ms",
        description="First wait of the exponential back-off.",
    ),
    Input(
        name="backoff-max",
        default="60s",
        description="Longest wait of the exponential back-off.",
    ),
    Input(
        name="attempt-timeout",
        default="15m",
        description="Time after which one attempt is killed and counts as a transient failure.",
    ),
    Input(
        name="timeout",
        default="30m",
        description="Time limit of the whole run; `0` means none.",
    ),
    Input(
        name="fail-fast",
        default="false",
        description="Whether to start no new targets after the first that fails for good.",
    ),
    Input(
        name="fail-on-error",
        default="true",
        description="Whether failed targets fail the step; the outputs tell of them either way.",
    ),
    Input(
        name="token",
        secret=True,
        from_context="${{ github.token }}",
        description=(
            "Token for ghcr.io (on a GitHub Enterprise Server for `containers.HOST` instead), sent "
            "to no other registry."
        ),
    ),
    Input(
        name="registry",
        default="ghcr.io",
        description="Registry that `username` and `password` are for.",
    ),
    Input(
        name="username",
        description="User name for `registry`, in place of `token` there.",
    ),
    Input(
        name="password",
        secret=True,
        description="Password or access token for `registry`, in place of `token` there.",
    ),
    Input(
        name="registry-auth",
        secret=True,
        description=(
            "YAML list of `registry`, `username` and `password` for more registries, as "
            "docker/login-action takes it."
        ),
    ),
    Input(
        name="verify",
        default="true",
        description=(
            "Whether to read every tag back from the registry; `false` trusts the push's own "
            "answer."
        ),
    ),
    Input(
        name="protect",
        description=(
            "Glob patterns of tags that may be created but never moved to another image, such as "
            "`v*.*.*`."
        ),
    ),
    Input(
        name="on-protected",
        default="fail",
        description=(
            "What becomes of a protected tag that names another image: `fail`, or `keep` (it stays "
            "as it is, and that is no failure)."
        ),
    ),
    Input(
        name="all-or-nothing",
        default="false",
        description=(
            "Whether to move no tag before the content of every target is in its registry; if any "
            "of it fails, no tag moves."
        ),
    ),
    Input(
        name="declare-artifacts",
        default="false",
        description=(
            "Whether to declare what landed to the runner (2.336 or newer) by `$GITHUB_ARTIFACTS`, "
            "where actions/attest finds it."
        ),
    ),
    Input(
        name="dry-run",
        default="false",
        description=(
            "Whether to read each tag and tell what would be pushed, writing nothing to a registry."
        ),
    ),
    Input(
        name="summary",
        default="true",
        description="Whether to write the job summary.",
    ),
    Input(
        name="report-file",
        description=(
            "Path to which the JSON report is written; without it nothing is written into the "
            "workspace."
        ),
    ),
    Input(
        name="insecure-registries",
        description=(
            "Registries that may speak plain HTTP, besides `localhost` and `127.0.0.0/8`, one per "
            "line or separated by commas."
        ),
    ),
)

OUTPUTS = (
    Output(
        name="result",
        description=(
            "`success`, `partial` (some failed or were skipped), `failure` (none landed) or "
            "`cancelled`."
        ),
    ),
    Output(
        name="cause",
        description=(
            "Where to look for the remedy of what did not land: `none`, `registry`, `network`, "
            "`permission`, `engine`, `input` or `mixed`."
        ),
    ),
    Output(
        name="pushed",
        description="JSON array of the references that were written.",
    ),
    Output(
        name="unchanged",
        description=(
            "JSON array of the references that named this image already, all of it still there."
        ),
    ),
    Output(
        name="kept",
        description=(
            "JSON array of the protected references that name another image and were left so."
        ),
    ),
    Output(
        name="failed",
        description="JSON array of the references that were tried and did not land.",
    ),
    Output(
        name="skipped",
        description="JSON array of the references that were never tried.",
    ),
    Output(
        name="planned",
        description="JSON array of the references that a dry run would write.",
    ),
    Output(
        name="retried",
        description=(
            "JSON array of the references whose write, or whose layers, needed more than one "
            "attempt, however they ended."
        ),
    ),
    Output(
        name="digest",
        description="The digest, if all landed references share one, else empty.",
    ),
    Output(
        name="digests",
        description="JSON object, reference to digest, of every reference that landed.",
    ),
    Output(
        name="images",
        description=(
            "Lines `registry/repository@sha256:…`, each once, of what landed, for signing and "
            "attesting."
        ),
    ),
    Output(
        name="attempts",
        description="Number of attempts over the run.",
    ),
    Output(
        name="retries",
        description="Number of attempts over the run that were not the first of their unit.",
    ),
    Output(
        name="lowest-parallel",
        description="Lowest number of writes in flight that the run fell to.",
    ),
    Output(
        name="duration",
        description="Length of the run in seconds, with one decimal.",
    ),
    Output(
        name="report",
        description=(
            "Path of the JSON report, relative to the workspace; empty without `report-file`."
        ),
    ),
    Output(
        name="truncated",
        description="`true` if outputs were cut to their budget; the report has everything.",
    ),
)

INPUT_BY_NAME = MappingProxyType({each.name: each for each in INPUTS})
