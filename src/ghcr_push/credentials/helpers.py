"""Credential helpers: programs named by Docker's configuration that give a registry's secret."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from ghcr_push import tracing
from ghcr_push.credentials.credential import Credential, key_of
from ghcr_push.documents import json_object
from ghcr_push.failures import without_secrets

_MOST_SHOWN = 200
"""Maximum number of characters of a helper's error in a notice."""


class HelperError(Exception):
    """A helper failed; the text is a sentence for people, without any secret."""


def ask_helper(
    name: str, registry: str, environment: Mapping[str, str], *, seconds: float
) -> Credential | None:
    """Ask the helper ``name`` for ``registry``; None if it has nothing. Raises ``HelperError``."""
    program = f"docker-credential-{name}"
    places = environment.get("PATH", os.defpath)
    path = None if "/" in name else shutil.which(program, path=places)
    if path is None:
        raise HelperError(
            f"The Docker configuration names the credential helper {program}, which is not "
            "installed here; it was skipped. Give `username` and `password`, or "
            "`registry-auth`."
        )
    try:
        with tracing.about(registry), tracing.command([path, "get"]) as run:
            done = subprocess.run(  # noqa: S603 - the user's own configuration names it
                [path, "get"],
                input=key_of(registry).encode(),
                capture_output=True,
                check=False,
                env=dict(environment),
                timeout=seconds,
            )
            run.status = done.returncode
        return _read(done)
    except subprocess.TimeoutExpired:
        why = f"took longer than {seconds:g} s"
    except OSError as error:
        why = f"cannot be run ({error.strerror})"
    except ValueError as error:
        why = str(error)
    raise HelperError(
        f"The credential helper {program} {why}; continuing without credentials for {registry}."
    )


def _read(done: subprocess.CompletedProcess[bytes]) -> Credential | None:
    """Parse a helper's answer; raise ``ValueError`` describing an invalid one."""
    said = (done.stdout or done.stderr).decode(errors="replace").strip()
    if done.returncode:
        # not an error: the text of docker's own helper library
        if "credentials not found" in said:
            return None
        # an answer in JSON may hold the secret, even from a helper that failed
        words = "" if "{" in said else f": {without_secrets(said[:_MOST_SHOWN])}"
        raise ValueError(f"failed with {done.returncode}{words}")
    answer = json_object(done.stdout) or {}
    username, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        raise ValueError("gave no credentials")
    if username == "<token>":
        return Credential(identity_token=secret)
    return Credential(username=username, password=secret)
