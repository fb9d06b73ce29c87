"""Media types of the image-spec, and Docker's equivalents."""

from typing import Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"

DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"

INDEXES: Final = frozenset({INDEX, DOCKER_INDEX})
MANIFESTS: Final = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
"""In the order of the ``Accept`` header."""
CONFIGS: Final = frozenset({CONFIG, DOCKER_CONFIG})
"""Of images; layers of manifests with another config may be any file."""
COMPRESSED: Final = {LAYER: f"{LAYER}+gzip", DOCKER_LAYER: f"{DOCKER_LAYER}.gzip"}
"""By the type of an uncompressed layer."""
