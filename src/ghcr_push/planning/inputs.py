"""The table of inputs: names, defaults, order and descriptions.

A test compares ``action.yml``, the README and the command line's options with it. ``--help``
needs it, so it imports almost nothing itself.
"""

from dataclasses import KW_ONLY, dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Input:
    """One input: ``name`` as in ``action.yml``, ``default`` as the text a user would write.

    ``description`` is one sentence. A ``secret`` is never shown, and never a command-line option,
    which every user of the machine could read.
    """

    name: str
    description: str
    _: KW_ONLY
    default: str = ""
    secret: bool = False

    @property
    def option(self) -> str:
        """The command-line option."""
        return f"--{self.name}"

    @property
    def is_flag(self) -> bool:
        """Whether it is on or off."""
        return self.default in {"true", "false"}


INPUTS = (
    Input(
        "tags",
        "What to publish, one per line or separated by commas: full references, bare tags of "
        "`image`, `SOURCE => TARGET`, a JSON array, or the JSON output of docker/metadata-action; "
        "at most 131,072 bytes (about 2,300 lines of 55 characters), use `tags-file` for more.",
    ),
    Input(
        "tags-file",
        "File with more `tags`, in the same form, for a list that is too long for the input; the "
        "path is relative to the workspace.",
    ),
    Input(
        "allow-empty",
        "Whether a run with empty `tags` succeeds and does nothing, instead of failing as bad "
        "input.",
        default="false",
    ),
    Input("image", "Repository for bare tags, such as `ghcr.io/acme/app`."),
    Input(
        "source",
        "What to push: a local image by name, ID or digest, `oci-layout:DIR[:TAG]`, "
        "`oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REFERENCE]` or `docker://REFERENCE` (an "
        "image in a registry), or several joined by ` + ` for one index; by default each target's "
        "own name.",
    ),
    Input(
        "transport",
        "How layers are uploaded: `direct` (by the action itself), `engine` (by `docker push`), "
        "or `auto` (by the action where possible, but large images of a containerd image store by "
        "`docker push` first).",
        default="auto",
    ),
    Input(
        "platform",
        "The one platform of a multi-platform source to push, such as `linux/arm64`; by default "
        "all.",
    ),
    Input(
        "referrers",
        "Whether to also push the signatures, SBOMs and attestations that refer to an image of a "
        "layout, an OCI archive or a registry.",
        default="false",
    ),
    Input(
        "compress-layers",
        "Whether to compress the uncompressed layers of a containerd image store, a layout or an "
        "OCI archive; this changes the digest of the image.",
        default="false",
    ),
    Input(
        "annotations",
        "Annotations for the index made from several sources, one `KEY=VALUE` or "
        "`index:KEY=VALUE` per line, as docker/metadata-action writes them; annotations for its "
        "entries start with `manifest-descriptor:` or `manifest-descriptor[PLATFORM]:`.",
    ),
    Input(
        "mount-from",
        "Repositories in the same registry to mount layers from instead of uploading them, such "
        "as `ghcr.io/acme/base`, or `acme/base` for the registry of each target.",
    ),
    Input(
        "spool-size",
        "Disk space for layers that are being uploaded, such as `2GiB` or `500MB`; reading the "
        "image pauses while it is full.",
        default="2GiB",
    ),
    Input("max-parallel", "Maximum number of write requests in flight, 1 to 64.", default="4"),
    Input(
        "adaptive",
        "Whether to adapt the number of parallel writes to the registry, up to `max-parallel`; "
        "with `false`, tags can fail if the registry accepts fewer.",
        default="true",
    ),
    Input(
        "max-attempts",
        "Maximum number of attempts for each blob, manifest or tag on transient failures, 1 to "
        "100.",
        default="8",
    ),
    Input(
        "backoff-initial",
        "First wait of the exponential back-off; waits of up to 2s are shorter while a slot is "
        "free.",
        default="500ms",
    ),
    Input("backoff-max", "Longest wait of the exponential back-off.", default="60s"),
    Input(
        "attempt-timeout",
        "Time limit of one attempt; exceeding it counts as a transient failure.",
        default="15m",
    ),
    Input("timeout", "Time limit of the whole run; `0` means none.", default="30m"),
    Input(
        "fail-fast",
        "Whether to start no new targets after the first permanent failure.",
        default="false",
    ),
    Input(
        "fail-on-error",
        "Whether failed targets fail the step; the outputs list them either way.",
        default="true",
    ),
    Input(
        "token",
        "Token for ghcr.io (on a GitHub Enterprise Server for `containers.HOST` instead); it is "
        "sent to no other registry.",
        secret=True,
    ),
    Input("registry", "Registry that `username` and `password` are for.", default="ghcr.io"),
    Input("username", "User name for `registry`, used instead of `token` there."),
    Input(
        "password",
        "Password or access token for `registry`, used instead of `token` there.",
        secret=True,
    ),
    Input(
        "registry-auth",
        "YAML list of `registry`, `username` and `password` for more registries, in the format of "
        "docker/login-action.",
        secret=True,
    ),
    Input(
        "verify",
        "Whether to read every tag back from the registry; `false` trusts the answer to the write.",
        default="true",
    ),
    Input(
        "protect",
        "Glob patterns of tags that may be created but never moved to another image, such as "
        "`v*.*.*`.",
    ),
    Input(
        "on-protected",
        "What to do if a protected tag names another image: `fail`, or `keep` (leave the tag as "
        "it is, without a failure).",
        default="fail",
    ),
    Input(
        "all-or-nothing",
        "Whether to write no tag before the content of every target is in its registry; if any "
        "content fails, no tag is written.",
        default="false",
    ),
    Input(
        "declare-artifacts",
        "Whether to declare the images that landed to the runner (2.336 or newer) in "
        "`$GITHUB_ARTIFACTS`, where actions/attest finds them.",
        default="false",
    ),
    Input(
        "dry-run",
        "Whether to only read each tag and report what would be pushed; nothing is written to a "
        "registry.",
        default="false",
    ),
    Input("summary", "Whether to write the job summary.", default="true"),
    Input(
        "report-file",
        "Path for the JSON report; without it, nothing is written into the workspace.",
    ),
    Input(
        "insecure-registries",
        "Registries that may use plain HTTP, besides `localhost` and `127.0.0.0/8`, one per line "
        "or separated by commas.",
    ),
)

INPUT_BY_NAME = MappingProxyType({each.name: each for each in INPUTS})
