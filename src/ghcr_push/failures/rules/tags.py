"""A rule of the registry forbids writing a tag or reading an image.

Registries report these as refusals, wrong manifests or broken uploads, so they are matched first.
"""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

TAGS: tuple[Rule, ...] = (
    Rule(
        rows=("R1",),
        title="The tag cannot be moved",
        why="Tags are immutable there. Each registry reports this in its own words, with any "
        "code: Harbor 412 (engine 26 keeps the status alone), Google's manifest invalid "
        "(GoogleContainerTools/kaniko#3045), ECR's tag invalid (moby/buildkit#3776), "
        "Docker Hub's denied (kimai/kimai#5791), Quay's 409, CUE's denied, Aliyun and "
        "Mirantis in words.",
        signs=(
            Match(text=r"\bimmutab(?:le|ility)\b"),
            Match(text=r"\balready exists and cannot be overwritten\b"),
            Match(text=r"\bcannot overwrite tag\b"),
            Match(text=r"\bprotected (?:container )?tags?\b"),
            Match(code="TAG_ALREADY_EXISTS"),
            Match(text=r"\btag was already pushed\b"),
            Match(text=r"\bPUT (?:request to )?<url>: 412\b"),
        ),
        classification=Classification(
            kind=Kind.TAG_REFUSED,
            advice="The registry does not allow moving this tag: give the image a new tag, or "
            "exclude the tag from the rule for immutable or protected tags. If you "
            "list such tags in `protect`, the action does not try to write them.",
        ),
    ),
    Rule(
        rows=("R2",),
        title="The account may add tags but not move them",
        why="Artifactory requires a separate permission for it, and answers 403, "
        "unauthorized, or that the manifest is invalid "
        "(GoogleContainerTools/kaniko#1095).",
        signs=(
            Match(text=r"\bpermissions? to delete/overwrite\b"),
            Match(text=r"\bmanifest invalid\b.{0,60}\bHTTP 403 Forbidden\b"),
        ),
        classification=Classification(
            kind=Kind.TAG_REFUSED,
            advice="Give the account the permission Delete/Overwrite on the repository, or give "
            "the image a new tag.",
        ),
    ),
    Rule(
        rows=("R3",),
        title="The repository accepts each manifest once",
        why="Nexus with its redeploy policy off refuses a manifest that it already holds, "
        "also under a second tag, with a code for uploads "
        "(GoogleContainerTools/jib#2395). The first tag lands.",
        signs=(Match(text=r"\bdoes not allow updating assets\b"),),
        classification=Classification(
            kind=Kind.TAG_REFUSED,
            advice="Set the repository's deployment policy to *Allow redeploy* in Nexus (there "
            "is also *Allow redeploy only on latest tag*), or push one tag for each image.",
        ),
    ),
    Rule(
        rows=("R4",),
        title="The tag, image or repository is locked",
        why="Azure's locks (`write-enabled` is false) and its limit on storage give this "
        "answer (Azure/acr#561, #84). Any registry may answer 423.",
        signs=(
            Match(text=r"\boperation is disallowed\b"),
            Match(status=(423,)),
        ),
        classification=Classification(
            kind=Kind.TAG_REFUSED,
            advice="Look for a lock with `az acr repository show --image NAME:TAG` (and with "
            "`--repository NAME`), and remove it with `az acr repository update "
            "--write-enabled true`; or give the image a new tag. A registry at its "
            "storage limit gives the same answer.",
        ),
    ),
    Rule(
        rows=("R5",),
        title="The registry does not accept this tag's name",
        why="The registry's grammar or rules for names of tags; GitLab refuses protected "
        "tags, sometimes without naming the rule.",
        signs=(Match(code="TAG_INVALID"),),
        classification=Classification(kind=Kind.TAG_REFUSED),
    ),
    Rule(
        rows=("R6",),
        title="The tag names a manifest of another media type",
        why="In zot, a tag of an image cannot change to an index, or the reverse "
        "(knative/func#2721).",
        signs=(Match(text=r"\bchanging manifest media-type from\b"),),
        classification=Classification(
            kind=Kind.TAG_REFUSED,
            advice="Delete the tag from the registry first, or use another one: in this "
            "registry a tag cannot change between an image and an index, or between "
            "Docker's media types and OCI's.",
        ),
    ),
    Rule(
        rows=("P1",),
        title="A policy forbids reading the image",
        why="Harbor accepts the push and refuses reads until the image is scanned or signed: "
        "412, without a text for HEAD (goharbor/harbor#15885). Artifactory's Xray and "
        "Sonatype's firewall answer 403.",
        signs=(
            Match(code="PROJECTPOLICYVIOLATION"),
            Match(status=(412,)),
            Match(text=r"\bcannot be pulled due to configured policy\b"),
            Match(text=r"\bdownload blocking policy\b"),
            Match(text=r"\bis quarantined\b"),
        ),
        classification=Classification(kind=Kind.READ_FORBIDDEN),
    ),
)
