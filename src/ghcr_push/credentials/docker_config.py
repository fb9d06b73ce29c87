"""Docker's configuration: the file ``config.json``, the variable, and their entries."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ghcr_push.credentials.credential import Credential, key_of, registry_of
from ghcr_push.documents import as_dict, json_object

VARIABLE: Final = "DOCKER_AUTH_CONFIG"
"""Contains a configuration: docker reads it from 28.3 on, GitLab's runner has long done so."""


def docker_config_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of the user's Docker configuration; None if it is unknown."""
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder)
    home = environment.get("HOME")
    return Path(home) / ".docker" if home else None


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """A Docker configuration: a registry's credentials, or the helper to ask for them."""

    content: dict[str, object] = field(repr=False)
    name: str = "the Docker configuration"
    """Its name in notices."""

    def helper(self, registry: str) -> str | None:
        """Return the name of the helper for ``registry``: its own before the general one."""
        helpers = as_dict(self.content.get("credHelpers"))
        own = [name for key, name in helpers.items() if registry_of(key) == registry]
        name = next(iter(own), None) or self.content.get("credsStore")
        return name if isinstance(name, str) and name else None

    def entry(self, registry: str, notices: list[str]) -> Credential | None:
        """Return the entry for ``registry``; add unreadable ones to ``notices``."""
        auths = as_dict(self.content.get("auths"))
        keys = [key for key in auths if registry_of(key) == registry]
        for key in sorted(keys, key=lambda key: key != key_of(registry)):
            try:
                credential = _read_entry(as_dict(auths[key]))
            except ValueError:
                notices.append(f"The credentials of {key} in {self.name} are not readable.")
                continue
            if credential is not None:
                return credential
        return None


def read_config(folder: Path | None, notices: list[str]) -> dict[str, object]:
    """Return the configuration in ``folder``, empty if it cannot be read."""
    if folder is None:
        return {}
    path = folder / "config.json"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        notices.append(f"{path} cannot be read ({error.strerror}); it was skipped.")
        return {}
    return _parsed(text, str(path), notices)


def read_file(environment: Mapping[str, str], notices: list[str]) -> DockerConfig:
    """Return the user's configuration, empty if there is none."""
    return DockerConfig(read_config(docker_config_folder(environment), notices))


def read_variable(environment: Mapping[str, str], notices: list[str]) -> DockerConfig:
    """Return the configuration in the environment, empty if there is none."""
    text = environment.get(VARIABLE, "").strip() or "{}"
    return DockerConfig(_parsed(text, VARIABLE, notices), VARIABLE)


def _parsed(text: str | bytes, name: str, notices: list[str]) -> dict[str, object]:
    config = json_object(text)
    if config is not None:
        return config
    notices.append(f"{name} is not a Docker configuration in JSON; it was skipped.")
    return {}


def _read_entry(entry: dict[str, object]) -> Credential | None:
    """Parse one of ``auths``; None if it is empty, as Docker leaves it with a helper."""

    def text(key: str) -> str:
        value = entry.get(key)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if auth := text("auth"):
        # some tools wrap the lines of base64, and docker accepts that
        packed = "".join(auth.split())
        username, colon, password = b64decode(packed, validate=True).decode().partition(":")
        if not colon:
            raise ValueError("no password")
        # docker pads with zero bytes, a remnant of encryption
        password = password.strip("\0")
    if token := text("identitytoken"):
        return Credential(username=username, identity_token=token)
    return Credential(username=username, password=password) if password else None
