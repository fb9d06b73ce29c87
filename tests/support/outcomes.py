"""Checks that a step's report on its targets agrees with the registry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.runner import Step

LISTS = ("pushed", "unchanged", "kept", "failed", "skipped", "planned")

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"
_ACCEPT = (
    f"{_OCI}.index.v1+json, {_OCI}.manifest.v1+json, {_DOCKER}.list.v2+json, {_DOCKER}.v2+json"
)


def outcomes(step: Step) -> dict[str, str]:
    """Return each target's list; fail if a target is in two lists, or differs in the report."""
    named = [(target, name) for name in LISTS for target in step.listed(name)]
    assert len(dict(named)) == len(named), f"in two lists: {named}"
    reported = {each["reference"]: each["outcome"] for each in step.report["targets"]}
    assert dict(named) == reported
    return dict(named)


def held(registry: str, target: str) -> str | None:
    """Return the digest that the registry at ``registry`` holds under the tag of ``target``."""
    base, tag = _place(registry, target)
    answer = _asked("HEAD", f"{base}/manifests/{tag}")
    return answer.digest if answer else None


def lacking(registry: str, target: str) -> list[str]:
    """Return the parts of the image under the tag of ``target`` that the registry lacks."""
    base, tag = _place(registry, target)
    return list(_lacking(base, tag)) if held(registry, target) else []


def prove(step: Step, registry: str) -> None:
    """Check that the landed targets of a step are in the registry with their digests."""
    digests = json.loads(step.outputs["digests"])
    landed = step.listed("pushed") + step.listed("unchanged")
    assert sorted(digests) == sorted(landed)
    assert {target: held(registry, target) for target in landed} == digests


@dataclass(frozen=True, slots=True)
class _Answer:
    digest: str
    body: bytes


def _place(registry: str, target: str) -> tuple[str, str]:
    repository, _, tag = target.partition("/")[2].rpartition(":")
    return f"http://{registry}/v2/{repository}", tag


def _asked(method: str, url: str) -> _Answer | None:
    try:
        with urlopen(Request(url, method=method, headers={"Accept": _ACCEPT})) as answer:
            return _Answer(answer.headers["Docker-Content-Digest"], answer.read())
    except HTTPError as error:
        if error.code != 404:
            raise
        return None


def _lacking(base: str, manifest: str) -> Iterator[str]:
    answer = _asked("GET", f"{base}/manifests/{manifest}")
    if answer is None:
        yield manifest
        return
    document = json.loads(answer.body)
    for child in document.get("manifests", ()):
        yield from _lacking(base, child["digest"])
    blobs = [document["config"], *document["layers"]] if "config" in document else []
    for blob in blobs:
        if _asked("HEAD", f"{base}/blobs/{blob['digest']}") is None:
            yield blob["digest"]
