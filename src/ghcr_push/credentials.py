"""Who we are to which registry: Docker's configuration read, and a private one written.

The forms are those of the docker command's ``config.json`` and of its credential helpers. No
network, nothing in an argument list, and no secret in a ``repr`` or a message.
"""

import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghcr_push.references import DEFAULT_REGISTRY

_HUB_KEY = "https://index.docker.io/v1/"
"""docker.io's name in Docker's configuration; a registry of the first protocol stood there."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_MOST_SHOWN = 200
"""Characters of a helper's complaint that a notice repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user's password, or an identity token that a token service takes in its place."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Credentials by registry, and sentences about those that could not be read."""

    credentials: Mapping[str, Credential]
    notices: tuple[str, ...] = ()


def registry_of(key: str) -> str:
    """Return the registry that ``key`` means in one of Docker's spellings, as references name it.

    ``https://ghcr.io/v1/`` is ghcr.io, and ``https://index.docker.io/v1/`` is docker.io. A key
    with a deeper path, as podman writes for one repository, stays as it is and fits no registry.
    """
    host, slash, path = key.strip().partition("://")[2].partition("/")
    if not host:
        host, slash, path = key.strip().partition("/")
    if path.strip("/") not in {"", "v1", "v2"}:
        return f"{host}{slash}{path}"
    host = host.lower()
    return DEFAULT_REGISTRY if host in _HUB_HOSTS else host


def key_of(registry: str) -> str:
    """Return the key under which Docker keeps the credentials of ``registry``."""
    return _HUB_KEY if registry == DEFAULT_REGISTRY else registry


def docker_config_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of the user's Docker configuration; None if nothing says where."""
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder)
    home = environment.get("HOME")
    return Path(home) / ".docker" if home else None


def resolve(
    registries: Iterable[str],
    explicit: Mapping[str, Credential],
    environment: Mapping[str, str],
    *,
    helper_seconds: float = 10.0,
) -> Resolved:
    """Find the credentials of ``registries``: the ``explicit`` ones, else Docker's.

    Docker's are those that its configuration holds or a credential helper on ``PATH`` gives. A
    registry with none goes without; what could not be read is told in notices. Blocks while a
    helper runs, at most ``helper_seconds`` for each registry.
    """
    given = {registry_of(key): credential for key, credential in explicit.items()}
    wanted = tuple(dict.fromkeys(registries))
    notices: list[str] = []
    found = {registry: given[registry] for registry in wanted if registry in given}
    rest = [registry for registry in wanted if registry not in given]
    if rest:
        folder = docker_config_folder(environment)
        stored = _Stored(_read_config(folder, notices), environment, helper_seconds, notices)
        for registry in rest:
            if (credential := stored.credential(registry)) is not None:
                found[registry] = credential
    return Resolved(credentials=found, notices=tuple(dict.fromkeys(notices)))


def _read_config(folder: Path | None, notices: list[str]) -> dict[str, object]:
    if folder is None:
        return {}
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        notices.append(f"{path} cannot be read ({error.strerror}): going without it.")
        return {}
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        notices.append(f"{path} is not a Docker configuration in JSON: going without it.")
        return {}
    return config


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class _Stored:
    """The credentials that a Docker configuration holds or leads to."""

    config: dict[str, object] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    helper_seconds: float
    notices: list[str]

    def credential(self, registry: str) -> Credential | None:
        """Return what a helper gives, else what the file holds."""
        helper = self._helper(registry)
        given = self._from_helper(helper, registry) if helper else None
        return given or self._from_file(registry)

    def _helper(self, registry: str) -> str | None:
        """Return the name of the helper for ``registry``: its own before that of all."""
        helpers = _mapping(self.config.get("credHelpers"))
        own = [name for key, name in helpers.items() if registry_of(key) == registry]
        name = next(iter(own), None) or self.config.get("credsStore")
        return name if isinstance(name, str) and name else None

    def _from_file(self, registry: str) -> Credential | None:
        auths = _mapping(self.config.get("auths"))
        keys = [key for key in auths if registry_of(key) == registry]
        for key in sorted(keys, key=lambda key: key != key_of(registry)):
            entry = _mapping(auths[key])
            try:
                credential = _read_entry(entry)
            except ValueError:
                self.notices.append(
                    f"The credentials of {key} in the Docker configuration are not readable."
                )
                continue
            if credential is not None:
                return credential
        return None

    def _from_helper(self, name: str, registry: str) -> Credential | None:
        program = f"docker-credential-{name}"
        places = self.environment.get("PATH", os.defpath)
        path = None if "/" in name else shutil.which(program, path=places)
        if path is None:
            self.notices.append(
                f"The Docker configuration names the credential helper {program}, which is not "
                "here: going without it. Give `username` and `password`, or `registry-auth`."
            )
            return None
        try:
            done = subprocess.run(  # noqa: S603 - the user's own configuration names it
                [path, "get"],
                input=key_of(registry).encode(),
                capture_output=True,
                check=False,
                env=dict(self.environment),
                timeout=self.helper_seconds,
            )
        except subprocess.TimeoutExpired:
            self._complain(program, registry, f"took longer than {self.helper_seconds:g} s")
            return None
        except OSError as error:
            self._complain(program, registry, f"cannot be run ({error.strerror})")
            return None
        return self._read_helper(program, registry, done)

    def _read_helper(
        self, program: str, registry: str, done: subprocess.CompletedProcess[bytes]
    ) -> Credential | None:
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        if done.returncode:
            # the one complaint that is none: the words of docker's own helper library
            if "credentials not found" not in said:
                # an answer in JSON may hold the secret, even from a helper that failed
                words = "" if "{" in said else f": {said[:_MOST_SHOWN]}"
                self._complain(program, registry, f"failed with {done.returncode}{words}")
            return None
        try:
            answer = _mapping(json.loads(done.stdout))
        except (ValueError, RecursionError):
            answer = {}
        username, secret = answer.get("Username"), answer.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str) or not secret:
            self._complain(program, registry, "gave no credentials")
            return None
        if username == "<token>":
            return Credential(identity_token=secret)
        return Credential(username=username, password=secret)

    def _complain(self, program: str, registry: str, what: str) -> None:
        self.notices.append(f"The credential helper {program} {what}; {registry} goes without.")


def _read_entry(entry: dict[str, object]) -> Credential | None:
    """Read one of ``auths``; None if it is empty, as Docker leaves it where a helper is used."""

    def text(key: str) -> str:
        value = entry.get(key)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if auth := text("auth"):
        username, colon, password = b64decode(auth, validate=True).decode().partition(":")
        if not colon:
            raise ValueError("no password")
        # docker pads with zero bytes what it once encrypted
        password = password.strip("\0")
    if token := text("identitytoken"):
        return Credential(username=username, identity_token=token)
    return Credential(username=username, password=password) if password else None


_KEPT = ("HttpHeaders", "currentContext", "proxies")
"""Settings that the docker command needs to reach the engine that the user means."""

_LINKED = ("contexts", "ca.pem", "cert.pem", "key.pem")
"""Beside them: contexts, and the certificates for an engine on TCP (``DOCKER_TLS_VERIFY``)."""


@contextmanager
def private_docker_config(
    credentials: Mapping[str, Credential], base: Path | None, parent: Path | None = None
) -> Iterator[Path]:
    """Write a Docker configuration that only this user can read; gone when the block ends.

    It holds ``credentials`` (by registry) and what the docker command needs from the folder
    ``base`` to reach its engine, but no credential helper. It stands below ``parent``, or where
    temporary files go. Raises ``OSError`` where it cannot be written.
    """
    folder = Path(tempfile.mkdtemp(prefix="ghcr-push-", dir=parent))
    try:
        config = _read_config(base, [])
        kept = {key: config[key] for key in _KEPT if key in config}
        auths = {
            key_of(registry): _written(credential) for registry, credential in credentials.items()
        }
        path = folder / "config.json"
        with open(path, "x", opener=_private, encoding="utf-8") as file:
            json.dump({**kept, "auths": auths}, file)
        for name in _LINKED:
            if base is not None and (base / name).exists():
                (folder / name).symlink_to((base / name).resolve())
        yield folder
    finally:
        # somebody may have taken a part of it away already, which is no reason to leave the rest
        shutil.rmtree(folder, ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _written(credential: Credential) -> dict[str, str]:
    if credential.identity_token:
        return {"identitytoken": credential.identity_token}
    pair = f"{credential.username}:{credential.password}"
    return {"auth": b64encode(pair.encode()).decode()}


def engine_auth(registry: str, credential: Credential) -> str:
    """Return the ``X-Registry-Auth`` header that lets an engine speak to ``registry`` for us.

    Engine API, "Authentication": JSON in the URL-safe base64 of RFC 4648, with its padding.
    """
    fields = (
        {"identitytoken": credential.identity_token}
        if credential.identity_token
        else {"username": credential.username, "password": credential.password}
    )
    text = json.dumps({**fields, "serveraddress": key_of(registry)})
    return urlsafe_b64encode(text.encode()).decode()
