"""The registry refuses: permanently or, as GHCR sometimes does, for a moment.

In three parts: refusals with a reason in words, with a code alone, and without either.
"""

from ghcr_push.failures.rule import Classification, Match, Rule, api, buildkit, classic, containerd
from ghcr_push.model import Kind

_BLIP = Classification(kind=Kind.AUTH_BLIP)

_PUT = "unexpected status from PUT request to https://ghcr.io/v2/o/i/manifests/t"
_HEAD = "unexpected status from HEAD request to https://ghcr.io/v2/o/i/blobs/sha256:00"

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
        examples=(
            classic("denied: installation not allowed to Create organization package"),
            classic(
                "denied: permission_denied: installation not allowed to Write organization package"
            ),
            containerd(
                "error from registry: installation not allowed to Create organization package"
            ),
            api(403, "DENIED", "installation not allowed to Create organization package"),
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
        examples=(
            classic("denied: permission_denied: The requested installation does not exist."),
            containerd(
                "error from registry: permission_denied: The requested installation does not exist."
            ),
            api(403, "DENIED", "permission_denied: The requested installation does not exist."),
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
        examples=(
            classic("denied: permission_denied: write_package"),
            containerd("error from registry: permission_denied: write_package"),
            buildkit(f"{_PUT}: 403 Forbidden\ndenied: permission_denied: write_package"),
            api(403, "DENIED", "permission_denied: write_package"),
            api(403, "DENIED", "permission_denied: create_package"),
        ),
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
        examples=(
            classic(
                "denied: client with IP '172.214.169.102' is not allowed access. Refer "
                "https://aka.ms/acr/firewall to grant access."
            ),
            containerd(
                "error from registry: Although you appear to have the correct authorization "
                "credentials, the `o` organization has an IP allow list enabled, and your IP "
                "address is not permitted to access this resource."
            ),
            api(403, "DENIED", "client with IP '172.214.169.102' is not allowed access."),
            api(
                403,
                "DENIED",
                "Request is prohibited by organization's policy. "
                "vpcServiceControlsUniqueIdentifier: x",
            ),
            api(403, "DENIED", "The region from which you are pulling has been geo-ip blocked."),
            api(
                403,
                None,
                "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules."
                "\n</body></html>",
            ),
            api(403, None, "<html><h1>Sorry, you have been blocked</h1></html>"),
            api(403, None, "<html><title>Attention Required! | Cloudflare</title></html>"),
            api(503, None, "<html><title>Just a moment...</title></html>"),
            api(451),
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
        examples=(
            classic(
                "denied: permission_denied: Resource protected by organization SAML enforcement"
            ),
            classic("unauthorized: please use personal access token to login when SSO is enforced"),
            api(403, "DENIED", "Resource protected by organization SAML enforcement."),
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
        examples=(
            classic(
                "denied: User: arn:aws:sts::1:assumed-role/r is not authorized to perform: "
                "ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-west-2:1:repository/i"
            ),
            classic(
                'denied: Permission "artifactregistry.repositories.uploadArtifacts" denied on '
                'resource "projects/p/locations/l/repositories/r" (or it may not exist)'
            ),
            classic(
                "denied: Unauthenticated request. Unauthenticated requests do not have permission "
                '"artifactregistry.repositories.uploadArtifacts"'
            ),
            classic(
                "denied: gcr.io repo does not exist. Creating on push requires the "
                "artifactregistry.repositories.createOnPush permission"
            ),
            classic("unauthorized: unauthorized to access repository: o/i, action: push"),
            classic("unauthorized: reqPackageAccess"),
            classic("unauthorized: You don't have the needed permissions to perform this"),
            containerd("error from registry: Artifact Registry API has not been used in project 1"),
            api(403, "DENIED", "The client does not have permission for manifest"),
        ),
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
        examples=(
            classic("denied: The system is in read only mode. Any modification is prohibited."),
            classic("denied: can not push artifact to a proxy project: o"),
            classic(
                "unknown: Container Registry is deprecated and shutting down, please use the auto "
                "migration tool"
            ),
            classic("denied: This request was denied because the account is past due"),
            containerd("error from registry: the registry is undergoing maintenance"),
            containerd("error from registry: cannot push to a pull-through cache"),
            api(405, "DENIED", "System is currently read-only. Pulls will succeed"),
            api(405, "DENIED", "This namespace is disabled. Please contact your administrator."),
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
        examples=(
            classic("unauthorized: project o not found: project o not found"),
            containerd("error from registry: project o not found"),
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
        examples=(
            classic('Get "https://ghcr.io/v2/": Proxy Authentication Required'),
            api(None, None, "the proxy p.example:3128, which HTTPS_PROXY names, refused: 407"),
            api(407),
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
        examples=(
            classic("Get https://registry-1.docker.io/v2/: Forbidden"),
            classic('Get "https://r.example:5000/v2/": Forbidden port'),
            containerd('failed to do request: Head "https://r.example/v2/o/i": Forbidden'),
            api(None, None, "the proxy p:3128, which HTTPS_PROXY names, refused: 403 Forbidden"),
        ),
    ),
    Rule(
        rows=("N19",),
        title="A proxy refuses for the moment",
        why="The proxy is overloaded or timed out (408, 429).",
        signs=(Match(text=r" names, refused: ", answered=False),),
        classification=Classification(kind=Kind.PROXY),
        examples=(
            api(None, None, "the proxy p:3128, which ALL_PROXY names, refused: 429 Slow Down"),
        ),
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
        examples=(
            classic(
                "denied: permission_denied: The token provided does not match expected scopes."
            ),
            containerd("error from registry: The token provided does not match expected scopes."),
            containerd("error from registry: permission_denied: some_other_right"),
            buildkit(
                "failed to fetch oauth token: unexpected status from GET request to "
                "https://auth.docker.io/token: 401 Unauthorized: access token has insufficient "
                "scopes"
            ),
            api(403, "DENIED", "permission_denied: some_other_right"),
        ),
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
        examples=(
            classic("unauthorized: authentication token has expired"),
            containerd("error from registry: expired token"),
            api(401, "UNAUTHORIZED", "token expired"),
        ),
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
        examples=(
            classic(
                "unauthorized: unauthenticated: User cannot be authenticated with the token "
                "provided."
            ),
            containerd(
                "error from registry: User cannot be authenticated with the token provided."
            ),
            containerd("error from registry: unauthenticated: bad token"),
            api(
                401,
                "UNAUTHORIZED",
                "unauthenticated: User cannot be authenticated with the token provided.",
            ),
        ),
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
        examples=(
            classic("denied: requested access to the resource is denied"),
            containerd(
                "push access denied, repository does not exist or may require authorization: "
                "authorization failed: no basic auth credentials"
            ),
            containerd("server message: insufficient_scope: authorization failed"),
            containerd("error from registry: access to the requested resource is not authorized"),
            api(401, "DENIED", "requested access to the resource is denied"),
        ),
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
        examples=(
            classic("unauthorized: authentication required"),
            classic("no basic auth credentials"),
            classic("unauthorized: who are you"),
            containerd("error from registry: incorrect username or password"),
            containerd("error from registry: Specified credentials are invalid"),
            containerd("error from registry: authentication failed"),
            api(403, "DENIED", "HTTP Basic: Access denied. The provided password is incorrect"),
            containerd("error from registry: authentication required"),
            containerd(f"failed to push: {_HEAD}: 401 Unauthorized"),
            buildkit("authorization status: 401: authorization failed"),
            api(401, "UNAUTHORIZED", "authentication required"),
            api(401),
        ),
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
        examples=(
            classic("denied"),
            classic("denied: denied"),
            classic("denied: not today"),
            classic('Get "https://ghcr.io/v2/": denied: denied'),
            containerd("error from registry: denied"),
            containerd(
                "failed to authorize: failed to fetch oauth token: error from registry: denied"
            ),
            buildkit("failed to authorize: failed to fetch oauth token: denied: denied"),
            api(403, "DENIED", "denied"),
            api(403, "FORBIDDEN", "forbidden"),
        ),
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
        examples=(
            classic("unknown: 403 Forbidden"),
            containerd(f"unknown: failed to copy: {_HEAD}: 403 Forbidden"),
            api(403),
        ),
    ),
)
