"""Authentication at the front: none, by password, or by tokens as GHCR issues them."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qs, urlsplit

from tests.support.front import answers
from tests.support.front.answers import Answer
from tests.support.front.behaviour import Auth
from tests.support.front.steps import WRITES, Call, Step

Rights = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The rights of a token: its user (None: anonymous), scopes and expiry."""

    user: str | None
    scopes: frozenset[tuple[str, str]]
    expires_at: float


class Doorkeeper:
    """Authorizes requests by `auth`; `realm` is the token service's URL, `draw` makes tokens."""

    def __init__(self, auth: Auth, realm: str, draw: Callable[[], str]) -> None:
        self._auth = auth
        self._realm = realm
        self._draw = draw
        self._grants: dict[str, Grant] = {}

    def check(self, call: Call, header: str, now: float) -> Answer | None:
        """Return why the request is refused; None if it is allowed."""
        if self._auth.mode == "none":
            return None
        wanted = _wanted(call)
        if self._auth.mode == "basic":
            user = self._user(header)
            if user is None and not self._open(wanted):
                return _challenged('Basic realm="registry"')
        else:
            grant = self._grants.get(header.removeprefix("Bearer "))
            if grant is None or grant.expires_at <= now or not wanted <= grant.scopes:
                return self._bearer_challenge(wanted, known=bool(header))
            user = grant.user
        return None if self._allowed(user, wanted) else self._auth.refusal

    def token(self, call: Call, header: str, now: float) -> Answer:
        """Answer the token service: a token for all that is asked, to every known user.

        Only GET is served; clients that begin with the OAuth2 POST fall back on 405.
        """
        if call.method != "GET":
            return answers.TOKEN_BY_GET
        user = self._user(header)
        if user is None and header:
            return self._auth.wrong_password
        query = parse_qs(urlsplit(call.path).query)
        scopes = frozenset(
            (scope.split(":", 2)[1], action)
            for scope in query.get("scope", ())
            if scope.startswith("repository:") and scope.count(":") == 2
            for action in scope.rsplit(":", 1)[1].split(",")
        )
        if user is None and not self._open(scopes):
            return answers.oci_error(401, "UNAUTHORIZED", "authentication required")
        text = self._draw()
        lasts = self._auth.expires_in
        self._grants[text] = Grant(user=user, scopes=scopes, expires_at=now + lasts)
        # Go's clients read a whole number only; a fraction of a second is for ours.
        whole = int(lasts) if lasts == int(lasts) else lasts
        body = json.dumps({"token": text, "expires_in": whole})
        return Answer(status=200, headers={"Content-Type": "application/json"}, body=body)

    def _user(self, header: str) -> str | None:
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self._auth.users.get(name)
        return name if known is not None and known.password == password else None

    def _open(self, wanted: frozenset[tuple[str, str]]) -> bool:
        return bool(wanted) and _covers(self._auth.anonymous, wanted)

    def _allowed(self, user: str | None, wanted: frozenset[tuple[str, str]]) -> bool:
        rights: Rights = self._auth.anonymous if user is None else self._auth.users[user].rights
        return _covers(rights, wanted)

    def _bearer_challenge(self, wanted: frozenset[tuple[str, str]], *, known: bool) -> Answer:
        by_name: dict[str, set[str]] = {}
        for name, action in wanted:
            by_name.setdefault(name, set()).add(action)
        scope = " ".join(
            f"repository:{name}:{','.join(sorted(actions))}"
            for name, actions in sorted(by_name.items())
        )
        text = f'Bearer realm="{self._realm}",service="{self._auth.service}"'
        if scope:
            text += f',scope="{scope}"'
        return _challenged(text + (',error="invalid_token"' if known else ""))


def _wanted(call: Call) -> frozenset[tuple[str, str]]:
    """Return the (repository, action) pairs that `call` needs, as docker's registry asks."""
    if not call.repository:
        return frozenset()
    wanted = {(call.repository, "pull")}
    if call.step in WRITES or call.step is Step.UPLOAD_GET:
        wanted.add((call.repository, "push"))
    if call.mount_from:
        wanted.add((call.mount_from, "pull"))
    return frozenset(wanted)


def _covers(rights: Rights, wanted: frozenset[tuple[str, str]]) -> bool:
    return all(
        any(action in actions and fnmatchcase(name, glob) for glob, actions in rights.items())
        for name, action in wanted
    )


def _challenged(challenge: str) -> Answer:
    headers = {**answers.UNAUTHORIZED.headers, "WWW-Authenticate": challenge}
    return answers.UNAUTHORIZED.model_copy(update={"headers": headers})
