"""Parsing ``registry``, ``username``, ``password`` and ``registry-auth``; shows no secret."""

from dataclasses import dataclass, field

from ghcr_push.planning.problems import Findings
from ghcr_push.references import parse_registry

_KEYS = ("registry", "username", "password")
_SHAPE = (
    "must be a YAML list whose entries have `registry`, `username` and `password`, as "
    "docker/login-action takes it"
)
_HOST = "write its host alone, such as ghcr.io or localhost:5000, without protocol and path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user of one registry."""

    registry: str
    username: str
    password: str = field(repr=False)


def read_logins(
    *, registry: str, username: str, password: str, registry_auth: str, findings: Findings
) -> tuple[Login, ...]:
    """Parse the logins, at most one per registry; report errors to ``findings``."""
    single = _read_single(registry, username, password, findings)
    logins = {single.registry: single} if single else {}
    for number, entry in enumerate(_read_list(registry_auth, findings), start=1):
        login = _read_entry(entry, number, findings)
        if login and login.registry in logins:
            findings.refuse(
                "registry-auth",
                None,
                f"gives in entry {number} a second login for one registry; keep one",
            )
        elif login:
            logins[login.registry] = login
    return tuple(logins.values())


def _read_single(text: str, username: str, password: str, findings: Findings) -> Login | None:
    registry = _registry(text)
    if not registry:
        findings.refuse("registry", text, f"is not a registry; {_HOST}")
    if password and not username:
        findings.refuse("password", None, "is given without `username`; give both or neither")
    if username and not password:
        findings.refuse(
            "username",
            username,
            "has no `password`; give both or neither (a secret is empty in runs from forks)",
        )
    if not (registry and username and password):
        return None
    return Login(registry=registry, username=username, password=password)


def _registry(text: str) -> str:
    """Parse a registry's host; return an empty text if it is invalid."""
    try:
        return parse_registry(text)
    except ValueError:
        return ""


def _read_list(text: str, findings: Findings) -> list[object]:
    if not text:
        return []
    # 0.06 s of imports that few runs need
    from ruamel.yaml import YAML  # noqa: PLC0415 - see the line above
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - same

    try:
        # "base" parses all scalars as text, so that a password 0123 stays as written
        document = YAML(typ="base", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        # the error's own text quotes the input, so show only the line number
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f" (line {mark.line + 1})" if mark else ""
        findings.refuse("registry-auth", None, f"is not YAML{where}; it {_SHAPE}")
        return []
    if not isinstance(document, list):
        findings.refuse("registry-auth", None, _SHAPE)
        return []
    return document


def _read_entry(entry: object, number: int, findings: Findings) -> Login | None:
    """Parse one entry; problems name it by number, since any of its words may be a secret."""
    faults: list[str] = []
    if not isinstance(entry, dict) or not all(isinstance(each, str) for each in entry.values()):
        findings.refuse("registry-auth", None, f"{_SHAPE}; entry {number} has not")
        return None
    if missing := [key for key in _KEYS if not entry.get(key)]:
        faults.append(
            f"lacks {' and '.join(f'`{key}`' for key in missing)} in entry {number}; add it"
        )
    if not entry.keys() <= set(_KEYS):
        faults.append(
            f"has keys in entry {number} that are not supported, as `scope` and `ecr` are not; "
            "keep `registry`, `username` and `password`"
        )
    if entry.get("registry") and not _registry(entry["registry"]):
        faults.append(f"has no registry at `registry` in entry {number}; {_HOST}")
    for fault in faults:
        findings.refuse("registry-auth", None, fault)
    if faults:
        return None
    return Login(
        registry=_registry(entry["registry"]),
        username=entry["username"],
        password=entry["password"],
    )
