"""What a step says of its targets, and what the registry holds: the two must agree."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.runner import Step

LISTS = ("pushed", "unchanged", "failed", "skipped", "planned")

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"
_ACCEPT = (
    f"{_OCI}.index.v1+json, {_OCI}.manifest.v1+json, {_DOCKER}.list.v2+json, {_DOCKER}.v2+json"
)


def outcomes(step: Step) -> dict[str, str]:
    """Return each target's list; a target in two lists, or otherwise in the report, is a fault."""
    named = [(target, name) for name in LISTS for target in step.listed(name)]
    assert len(dict(named)) == len(named), f"in two lists: {named}"
    reported = {each["reference"]: each["outcome"] for each in step.report["targets"]}
    assert dict(named) == reported
    return dict(named)


def held(registry: str, target: str) -> str | None:
    """Return the digest that the registry at ``registry`` holds under the tag of ``target``."""
    repository, _, tag = target.partition("/")[2].rpartition(":")
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    try:
        with urlopen(Request(url, method="HEAD", headers={"Accept": _ACCEPT})) as answer:
            digest: str = answer.headers["Docker-Content-Digest"]
            return digest
    except HTTPError as error:
        if error.code != 404:
            raise
        return None


def prove(step: Step, registry: str) -> None:
    """Check that what the step says has landed is there, with the digest that it names."""
    digests = json.loads(step.outputs["digests"])
    landed = step.listed("pushed") + step.listed("unchanged")
    assert sorted(digests) == sorted(landed)
    assert {target: held(registry, target) for target in landed} == digests
