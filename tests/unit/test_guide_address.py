"""A report links to the guide to failures of the running release."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from ghcr_push.fronts import guide as module
from ghcr_push.fronts.guide import guide

RUNNER = {"GITHUB_ACTION_REPOSITORY": "acme/push", "GITHUB_ACTION_REF": "v1"}


def installed_from(monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None) -> None:
    """Simulate a package installed from ``origin`` (PEP 610), or from an index."""
    text = None if origin is None else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
    monkeypatch.setattr(module, "distribution", lambda name: found if name == "ghcr-push" else None)


def test_a_runner_names_repository_and_release() -> None:
    assert guide(RUNNER) == "https://github.com/acme/push/blob/v1/docs/failures.md"


def test_a_package_knows_the_commit_that_it_was_installed_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vcs = {"vcs": "git", "commit_id": "cafe12"}
    installed_from(monkeypatch, {"url": "https://github.com/acme/push.git", "vcs_info": vcs})
    assert guide({}) == "https://github.com/acme/push/blob/cafe12/docs/failures.md"


@pytest.mark.parametrize(
    "origin",
    [None, {"url": "file:///build", "dir_info": {}}, {"url": "https://example.com/push.git"}],
)
def test_elsewhere_no_guide_is_known(
    origin: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(monkeypatch, origin)
    assert guide({"GITHUB_ACTION_REPOSITORY": "", "GITHUB_ACTION_REF": ""}) == ""
