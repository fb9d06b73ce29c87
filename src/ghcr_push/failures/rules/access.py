"""The registry refuses: permanently or, as GHCR sometimes does, for a moment.

In three parts: refusals with a reason in words, with a code alone, and without either.
"""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

_BLIP = Classification(kind=Kind.AUTH_BLIP)


ACCESS: tuple[Rule, ...] = (
    Rule(
        rows=("D4",),
        title="The token may not create or write packages of the owner",
        why="`packages: write` is missing, the run comes from a fork, or the organisation forbids "
        "the creation of packages (docker/build-push-action#606, actions/runner#1039).",
        signs=(Match(text=r"\binstallation not allowed to (?:create|write)\b"),),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Add `permissions: {contents: read, packages: write}` to the job; in an "
            "organisation allow the creation of packages (Settings, Packages). Runs of pull "
            "requests from forks cannot push: skip the step there.",
        ),
    ),
    Rule(
        rows=("D5",),
        title="The token does not reach this owner",
        why="`github.token` works only for the owner of the workflow's repository, also after "
        "a repository has moved (macbre/push-to-ghcr#26, grafana/k6#2111).",
        signs=(Match(text=r"\brequested installation does not exist\b"),),
        classification=Classification(
            kind=Kind.DENIED,
            advice="`github.token` may push to the repository's own owner only: correct the owner "
            "in the name, or use a personal access token with `write:packages`.",
        ),
    ),
    Rule(
        rows=("D3",),
        title="The package does not let this repository write",
        why="The package exists and is not linked to this repository: it was first pushed by "
        "hand, or the repository was recreated (docker/build-push-action#806, "
        "benchflow-ai/skillsbench#853). A retry cannot help.",
        signs=(Match(text=r"\b(?:write|create)_package\b"),),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Add `permissions: packages: write` to the job, and in the package's "
            "settings, Manage Actions access, add this repository with the role Write. "
            "To link it permanently, give the image the label "
            "org.opencontainers.image.source with the repository's URL.",
        ),
        after_success=_BLIP,
    ),
    Rule(
        rows=("D7",),
        title="The registry blocks the job's network",
        why="Azure's firewall (docker/build-push-action#1214), an organisation's list of "
        "allowed addresses (docker/metadata-action#342), Google's perimeter "
        "(GoogleCloudPlatform/cloud-sql-proxy#1686), or a proxy's filter in front of the "
        "registry (docker/hub-feedback#273). The credentials may be valid.",
        signs=(
            Match(text=r"\bclient with ip\b.{0,80}\bnot allowed\b"),
            Match(text=r"\bip address is not permitted\b"),
            # Google's VPC Service Controls, and Quay's rules for countries
            Match(text=r"\bprohibited by organization's policy\b"),
            Match(text=r"\bgeo-ip blocked\b"),
            Match(text=r"\bforbidden by administrative rules\b"),
            Match(text=r"\byou have been blocked\b"),
            Match(text=r"\battention required! \| cloudflare\b"),
            Match(text=r"\bjust a moment\.\.\."),
            Match(status=(451,)),
        ),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Allow the runner's address in the registry's firewall or the organisation's "
            "list of allowed addresses, or run the job on a runner inside that network.",
        ),
    ),
    Rule(
        rows=("D8",),
        title="The organisation requires single sign-on",
        why="A personal access token must be allowed for an organisation that enforces SAML; "
        "Docker Hub accepts no password then (docker/hub-feedback#2181).",
        signs=(
            Match(text=r"\bSAML (?:SSO|enforcement|single sign-on)\b"),
            Match(text=r"\bwhen SSO is enforced\b"),
        ),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Authorise the token for the organisation (Settings, Developer settings, "
            "Configure SSO), or use `${{ github.token }}`; Docker Hub requires a "
            "personal access token instead of the password.",
        ),
    ),
    Rule(
        rows=("D9",),
        title="The account lacks a permission",
        why="ECR names the action (aws-actions/amazon-ecr-login#232), Google the permission "
        "(google-github-actions/auth#50), which gives the same answer if the repository "
        "does not exist or the service is not enabled.",
        signs=(
            Match(text=r"\bnot authorized to perform\b"),
            Match(text=r"\bpermission \S{1,80} denied on resource\b"),
            Match(text=r"\b(?:not|don't|doesn't) have (?:the )?(?:needed )?permissions?\b"),
            Match(text=r"\brequires the \S{1,100} permission\b"),
            # Harbor and Gitea, with the code for missing credentials
            Match(text=r"\bunauthorized to access repository\b"),
            Match(text=r"\breqpackageaccess\b"),
            Match(text=r"\bhas not been used in project\b"),
        ),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Give the account the permission in the text, on this repository (Artifact "
            "Registry Writer, AmazonEC2ContainerRegistryPowerUser, Deploy), and create "
            "the repository first if the registry requires it.",
        ),
        after_success=_BLIP,
    ),
    Rule(
        rows=("D10",),
        title="The registry accepts no writes at present",
        why="Harbor (goharbor/harbor#4650) and DigitalOcean while they collect garbage, Quay in "
        "read-only mode or with the namespace disabled, proxies of other registries, and Google's "
        "old registry; often worded as denied. Too long to wait for.",
        signs=(
            Match(text=r"\bread[- ]only\b(?! file ?system)"),
            Match(text=r"\bundergoing maintenance\b"),
            Match(text=r"\b(?:pull[- ]through|proxy) cache\b"),
            Match(text=r"\bproxy project\b"),
            Match(text=r"\bdeprecated and shutting down\b"),
            Match(text=r"\b(?:account|subscription) is past due\b"),
            Match(
                text=r"\b(?:namespace|account|organi[sz]ation|user) (?:is|has been) "
                r"(?:disabled|suspended|blocked|deactivated)\b"
            ),
        ),
        classification=Classification(
            kind=Kind.UNSUPPORTED,
            advice="The registry is read-only: for maintenance, because the account is "
            "disabled, or because it is a cache of another registry. Push later, or to "
            "another registry.",
        ),
    ),
    Rule(
        rows=("D11",),
        title="The project is not known",
        why="Harbor answers unauthorized if the first part of the name is not one of its projects.",
        signs=(Match(text=r"\bproject \S{1,100} not found\b"),),
        classification=Classification(
            kind=Kind.NOT_FOUND,
            advice="Check the project's name, which is the first part of the repository's, and "
            "create it in the registry first.",
        ),
    ),
    Rule(
        rows=("N17",),
        title="A proxy requires a password",
        why="The proxy between here and the registry answered, not the registry.",
        signs=(
            Match(text=r"\bproxy authentication required\b"),
            Match(text=r" names, refused: 407\b", answered=False),
            Match(status=(407,)),
        ),
        classification=Classification(
            kind=Kind.PROXY,
            retryable=False,
            advice="Give the proxy's user and password in HTTPS_PROXY "
            "(`http://USER:PASSWORD@HOST:PORT`), or name the registry in NO_PROXY; the "
            "engine has separate proxy settings.",
        ),
    ),
    Rule(
        rows=("N18",),
        title="A proxy blocks the registry",
        why="The proxy refused by a rule of its own, so a retry cannot help.",
        signs=(
            Match(text=r" names, refused: 4(?!08|29)\d\d\b", answered=False),
            # the engine reports nothing more: what is behind the status (moby/moby#40507)
            Match(text=r'\b(?:get|head|post|put) "?<url>"?: forbidden(?: port)?$', answered=False),
        ),
        classification=Classification(
            kind=Kind.PROXY,
            retryable=False,
            advice="Allow this registry in the proxy, or name it in NO_PROXY if it can be "
            "reached directly; the engine has separate proxy settings.",
        ),
    ),
    Rule(
        rows=("N19",),
        title="A proxy refuses for the moment",
        why="The proxy is overloaded or timed out (408, 429).",
        signs=(Match(text=r" names, refused: ", answered=False),),
        classification=Classification(kind=Kind.PROXY),
    ),
    Rule(
        rows=("D6",),
        title="The token's scopes do not cover it",
        why="A refusal that names a permission is permanent, whichever permission it is; "
        "Docker Hub's token service names scopes (roboreg/roboreg#117).",
        signs=(
            Match(text=r"\bdoes not match expected scopes\b"),
            Match(text=r"\binsufficient scopes?\b"),
            Match(text=r"\bpermission_denied: "),
        ),
        classification=Classification(
            kind=Kind.DENIED,
            advice="The token lacks a permission: a personal access token (classic) needs the "
            "scope `write:packages`, `github.token` needs `permissions: packages: "
            "write`, a token of Docker Hub needs Read & Write.",
        ),
        after_success=_BLIP,
    ),
    Rule(
        rows=("A4",),
        title="The token has expired",
        why="App tokens are valid for one hour, the job's token until the job ends "
        "(actions/create-github-app-token#128).",
        signs=(
            Match(text=r"\b(?:token|credentials?|password)\b.{0,40}\bexpired\b"),
            Match(text=r"\bexpired (?:token|credentials?|password)\b"),
        ),
        classification=Classification(
            kind=Kind.UNAUTHORIZED,
            advice="The token has expired: make a new personal access token, or create the "
            "App's token (valid for one hour) right before this step.",
        ),
        after_success=_BLIP,
    ),
    Rule(
        rows=("A1",),
        title="The token is not accepted",
        why="An expired or revoked personal access token (autc04/Retro68#274), and once an "
        "incident of the whole registry (EnricoMi/publish-unit-test-result-action#307): worth "
        "a second try.",
        signs=(
            Match(text=r"\buser cannot be authenticated\b"),
            Match(text=r"\bunauthenticated: "),
        ),
        classification=Classification(
            kind=Kind.AUTH_BLIP,
            cap=2,
            advice="The token is expired or revoked: use `${{ github.token }}`, or make a new "
            "personal access token (classic) with `write:packages`.",
        ),
        after_success=_BLIP,
    ),
    Rule(
        rows=("A3",),
        title="Push access denied",
        why="docker.io's text for a missing permission, and containerd's for any 401 at the "
        "start of an upload.",
        signs=(
            Match(text=r"\bpush access denied\b"),
            Match(text=r"\brequested access to the resource is denied\b"),
            Match(text=r"\b(?:insufficient_scope|invalid_token)\b"),
            Match(text=r"\brequested resource is not authorized\b"),
        ),
        classification=Classification(
            kind=Kind.DENIED,
            advice="Log in to this registry with an account that may push there, and check that "
            "the name begins with the right owner.",
        ),
        after_success=_BLIP,
    ),
)

REFUSALS: tuple[Rule, ...] = (
    Rule(
        rows=("A2", "A5"),
        title="Not logged in, or the token ended during the push",
        why="At first contact no credentials were sent. After a successful layer or tag, the "
        "short-lived token expired in a long upload, and a new push gets a new one "
        "(moby/moby#33558, docker/buildx#324). docker.io also answers this while another "
        "job creates the repository (MeshInspector/MeshLib#6742).",
        signs=(
            Match(text=r"\bauthentication required\b"),
            Match(text=r"\bno basic auth credentials\b"),
            # docker's newer store reports nothing more about a wrong login
            Match(text=r"\b(?:incorrect|invalid|bad|wrong) (?:user ?name|password|credentials)\b"),
            Match(text=r"\bcredentials are invalid\b"),
            Match(text=r"\bhttp basic: access denied\b"),
            Match(text=r"\bauthentication failed\b"),
            # buildkit's text for a token service that refuses (docker/build-push-action#556)
            Match(text=r"\bauthorization status: 401\b"),
            Match(code="UNAUTHORIZED"),
            Match(status=(401,)),
        ),
        classification=Classification(kind=Kind.UNAUTHORIZED),
        after_success=_BLIP,
    ),
    Rule(
        rows=("D1",),
        title="Denied, and nothing more",
        why="With valid credentials GHCR occasionally answers this, at the token service or "
        "at the manifest, and accepts the same push seconds later "
        "(Aureliolo/synthorg#2716, devantler-tech/platform#2957). A wrong or expired "
        "token reads the same.",
        signs=(
            Match(code="DENIED"),
            Match(code="FORBIDDEN"),
        ),
        classification=_BLIP,
    ),
)

BARE_REFUSALS: tuple[Rule, ...] = (
    Rule(
        rows=("D2",),
        title="403 without a text",
        why="Seen as temporary, gone at the third try (nextstrain/docker-base#131), and as "
        "permanent (docker/build-push-action#981); also for some tags with a branch's "
        "name (tue-robotics/tue-env#708). The containerd store of engine 26 drops the "
        "text of every refusal, so that lasting ones and secondary limits look like this "
        "too, and ECR's limit on images (medic/cht-core#9175).",
        signs=(
            Match(status=(403,)),
            Match(text=r"\b403 forbidden\b"),
        ),
        classification=Classification(
            kind=Kind.AUTH_BLIP,
            advice="Check that the account may push there: on ghcr.io that the job has "
            "`permissions: packages: write` and that the package's settings, Manage "
            "Actions access, list this repository with the role Write. After many "
            "pushes it may be a rate limit: run the job again some minutes later. In "
            "ECR check whether the repository is full.",
        ),
    ),
)
