"""The address of the guide to failures, in the repository and release that runs."""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import quote


def guide(environ: Mapping[str, str]) -> str:
    """Return the address of the guide to failures; empty if unknown.

    A runner names the action's repository and the ref that the workflow requested, but not for an
    action in the workflow's own repository. A package installed from a repository knows that
    repository and its commit (PEP 610).
    """
    repository, ref = environ.get("GITHUB_ACTION_REPOSITORY"), environ.get("GITHUB_ACTION_REF")
    if repository and ref:
        return _address(f"https://github.com/{repository}", ref)
    try:
        origin = json.loads(distribution("ghcr-push").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    url, commit = str(origin.get("url")), origin.get("vcs_info", {}).get("commit_id")
    if not (commit and url.startswith("https://github.com/")):
        return ""
    return _address(url.removesuffix(".git"), str(commit))


def _address(repository: str, ref: str) -> str:
    return f"{repository}/blob/{quote(ref)}/docs/failures.md"
