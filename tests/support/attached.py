"""Test signatures and SBOMs, attached to images of a registry in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.support.cases import image
from tests.support.memory import MemoryRegistry
from tests.support.saved import INDEX, MANIFEST, digest_of

EMPTY = b"{}"
SBOM, BUNDLE = "application/spdx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
REPOSITORY = "acme/base"


def described(raw: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(raw), "size": len(raw), **more}


def artifact(subject: Mapping[str, Any], artifact_type: str, content: bytes) -> bytes:
    """Return a manifest that refers to `subject`, as oras attach and cosign 3 write them."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": described(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [described(content, artifact_type)],
        "subject": dict(subject),
        "annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"},
    }
    return json.dumps(document).encode()


def signatures(*signed: str) -> tuple[bytes, list[bytes]]:
    """Return the manifest and blobs of cosign's `.sig` with these signatures of one payload."""
    config, payload = json.dumps({"rootfs": {}, "signed": signed}).encode(), b'{"critical":{}}'
    layers = [described(payload, SIMPLE, annotations={SIGNATURE: each}) for each in signed]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    }
    return json.dumps(document).encode(), [config, payload]


def tag_of(digest: str) -> str:
    return digest.replace(":", "-")


def attach(registry: MemoryRegistry, repository: str, manifest: bytes, content: bytes) -> str:
    return registry.hold(f"{repository}@{digest_of(manifest)}", manifest, content, EMPTY)


def listed_by_tag(registry: MemoryRegistry, repository: str, subject: str) -> list[str]:
    """Return the entries of the index under the referrers tag."""
    if tag_of(subject) not in registry.tags(repository):
        return []
    index = registry.manifest(f"{repository}:{tag_of(subject)}")
    return [entry["digest"] for entry in index["manifests"]]


def list_by_tag(registry: MemoryRegistry, repository: str, subject: str, *raws: bytes) -> None:
    """Make the referrers tag of `subject` list these manifests."""
    entries: Sequence[Mapping[str, Any]] = [described(raw, MANIFEST) for raw in raws]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    name = f"{repository}:{tag_of(subject)}"
    registry.hold(name, json.dumps(index).encode(), media_type=INDEX)


class Attached:
    """An index `acme/base:1` of two platforms with all kinds of referrers.

    An SBOM of the index, a signature of that SBOM, an SBOM of a platform, and cosign's signature
    of the index by tag. Where the registry has no referrers API, tags list what has a subject.
    """

    def __init__(self, registry: MemoryRegistry, *, api: bool) -> None:
        self.registry = registry
        images = image("base"), replace(image("other"), architecture="arm64")
        self.index = registry.put(f"{REPOSITORY}:1", *images)
        self.child = registry.manifest(f"{REPOSITORY}:1")["manifests"][0]["digest"]
        top = described(registry.raw(f"{REPOSITORY}:1"), INDEX)
        part = described(registry.raw(f"{REPOSITORY}@{self.child}"), MANIFEST)
        sbom = artifact(top, SBOM, b"an SBOM")
        of_child = artifact(part, SBOM, b"an SBOM of a platform")
        bundle = artifact(described(sbom, MANIFEST), BUNDLE, b"a signature of the SBOM")
        self.subjects = {self.index: sbom, self.child: of_child, digest_of(sbom): bundle}
        contents = (b"an SBOM", b"an SBOM of a platform", b"a signature of the SBOM")
        for (subject, manifest), content in zip(self.subjects.items(), contents, strict=True):
            attach(registry, REPOSITORY, manifest, content)
            if not api:
                list_by_tag(registry, REPOSITORY, subject, manifest)
        self.sign("first")

    @property
    def signature(self) -> str:
        """Cosign's tag of the index's signatures."""
        return f"{tag_of(self.index)}.sig"

    def sign(self, *signed: str, repository: str = REPOSITORY) -> str:
        manifest, blobs = signatures(*signed)
        return self.registry.hold(f"{repository}:{self.signature}", manifest, *blobs)
