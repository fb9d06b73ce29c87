"""Content of podman, buildah and umoci: builders without a daemon."""

from collections.abc import Mapping

from tests.support.corpus.place import Place, Recipe, recipes

_TWO = "linux/amd64,linux/arm64"


def _stored(place: Place, tool: str, *words: str) -> None:
    """Run a tool with a store for its family."""
    tools = place.tools
    options = ("--root", tools.folder / "store", "--runroot", tools.runroot)
    place.run(tool, *options, "--storage-driver", "vfs", *words, environ=tools.builders)


# -- podman ---------------------------------------------------------------------------------------


def _podman(place: Place, *words: str) -> None:
    _stored(place, "podman", "build", "--quiet", "--tag", "app:1", str(place.tools.context))
    _stored(place, "podman", *words)


def podman_docker(place: Place) -> str:
    _podman(place, "save", "--quiet", "--output", "app.tar", "app:1")
    return place.source("docker-archive", "app.tar")


def podman_several(place: Place) -> str:
    _podman(place, "tag", "app:1", "other:2")
    words = ("save", "--quiet", "--multi-image-archive", "--output", "two.tar", "app:1", "other:2")
    _stored(place, "podman", *words)
    return place.source("docker-archive", "two.tar", "localhost/other:2")


def podman_archive(place: Place) -> str:
    _podman(place, "save", "--quiet", "--format", "oci-archive", "--output", "app.tar", "app:1")
    return place.source("oci-archive", "app.tar")


def podman_layout(place: Place) -> str:
    _podman(place, "save", "--quiet", "--format", "oci-dir", "--output", "app", "app:1")
    return place.source("oci-layout", "app")


def podman_uncompressed(place: Place) -> str:
    words = ("--format", "oci-archive", "--uncompressed", "--output", "app.tar", "app:1")
    _podman(place, "save", "--quiet", *words)
    return place.source("oci-archive", "app.tar")


def podman_index(place: Place) -> str:
    words = ("build", "--quiet", "--platform", _TWO, "--manifest", "two")
    _stored(place, "podman", *words, str(place.tools.context))
    _stored(place, "podman", "manifest", "push", "--quiet", "--all", "two", "oci:two:1")
    return place.source("oci-layout", "two", "1")


# -- buildah --------------------------------------------------------------------------------------


def _buildah(place: Place, *words: str) -> None:
    options = ("--quiet", "--isolation", "chroot", "--tag", "app:1")
    _stored(place, "buildah", "build", *options, str(place.tools.context))
    _stored(place, "buildah", "push", "--quiet", *words)


def buildah_layout(place: Place) -> str:
    _buildah(place, "app:1", "oci:app:1")
    return place.source("oci", "app", "1")


def buildah_archive(place: Place) -> str:
    _buildah(place, "app:1", "oci-archive:app.tar:1")
    return place.source("oci-archive", "app.tar", "1")


def buildah_docker(place: Place) -> str:
    _buildah(place, "app:1", "docker-archive:app.tar:acme/app:1")
    return place.source("docker-archive", "app.tar", "acme/app:1")


def buildah_zstd(place: Place) -> str:
    _buildah(place, "--compression-format", "zstd", "app:1", "oci:zstd")
    return place.source("oci-layout", "zstd")


def buildah_index(place: Place) -> str:
    words = ("build", "--quiet", "--isolation", "chroot", "--platform", _TWO, "--manifest", "two")
    _stored(place, "buildah", *words, str(place.tools.context))
    _stored(
        place, "buildah", "manifest", "push", "--quiet", "--all", "two", "oci-archive:two.tar:1"
    )
    return place.source("oci-archive", "two.tar", "1")


# -- umoci ----------------------------------------------------------------------------------------


def _umoci(place: Place, *words: str) -> None:
    place.run("umoci", *words, environ=place.tools.builders)


def umoci_empty(place: Place) -> str:
    """Make an image without layers."""
    _umoci(place, "init", "--layout", "layout")
    _umoci(place, "new", "--image", "layout:base")
    return place.source("oci-layout", "layout", "base")


def umoci_layers(place: Place) -> str:
    """Make a layout that also holds blobs of earlier images."""
    umoci_empty(place)
    for name in ("a", "b"):
        path = str(place.tools.context / name)
        _umoci(place, "insert", "--image", "layout:base", path, f"/{name}")
    _umoci(place, "config", "--image", "layout:base", "--tag", "1", "--config.env", "FOR=umoci")
    return place.source("oci-layout", "layout", "1")


def umoci_unpacked(place: Place) -> str:
    """Change an image on disk and pack it again."""
    umoci_layers(place)
    _umoci(place, "unpack", "--image", "layout:1", "bundle")
    (place.folder / "bundle" / "rootfs" / "c").write_text("of the third layer\n")
    _umoci(place, "repack", "--image", "layout:2", "bundle")
    _umoci(place, "gc", "--layout", "layout")
    return place.source("oci-layout", "layout", "2")


FAMILIES: Mapping[str, tuple[Recipe, ...]] = {
    "podman": recipes(
        podman_docker,
        podman_several,
        podman_archive,
        podman_layout,
        podman_uncompressed,
        podman_index,
    ),
    "buildah": recipes(
        buildah_layout, buildah_archive, buildah_docker, buildah_zstd, buildah_index
    ),
    "umoci": recipes(umoci_empty, umoci_layers, umoci_unpacked),
}
