"""Forms whose tools are not available here, written by hand.

Kaniko, Bazel, Nix and Jib cannot run where tests do; what their archives look like is read off
their sources. The layouts have what the image-spec allows and few tools make.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.corpus.place import Place, Recipe, recipes
from tests.support.layouts import CONFIG, LAYER, Made, one_image, platforms
from tests.support.saved import MANIFEST, config_of, digest_of, layer, tar

_LAYERS = [layer(11, 20_000), layer(12)]
_TAG = "acme/app:1"

_EMPTY = "application/vnd.oci.empty.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def _hex(content: bytes) -> str:
    return digest_of(content)[7:]


# -- docker archives ------------------------------------------------------------------------------


def _docker_archive(config: str, layers: Mapping[str, bytes]) -> bytes:
    """Return an archive with the config and the layers under these names, `manifest.json` last."""
    entry = {"Config": config, "RepoTags": [_TAG], "Layers": list(layers)}
    files = {**layers, config: config_of(_LAYERS), "manifest.json": json.dumps([entry]).encode()}
    return tar(files)


def _gzipped(prefix: str = "") -> dict[str, bytes]:
    """Return the layers, each compressed and named by its digest."""
    packed = [gzip.compress(each, mtime=0) for each in _LAYERS]
    return {f"{prefix}{_hex(each)}.tar.gz": each for each in packed}


def _written(place: Place, archive: bytes) -> str:
    (place.folder / "app.tar").write_bytes(archive)
    return place.source("docker-archive", "app.tar", _TAG)


def kaniko_docker(place: Place) -> str:
    """Write what `--tar-path` does (go-containerregistry, tarball/write.go)."""
    return _written(place, _docker_archive(digest_of(config_of(_LAYERS)), _gzipped()))


def bazel_docker(place: Place) -> str:
    """Write what rules_oci's `oci_load` does (tarball.sh.tpl)."""
    blobs = "blobs/sha256/"
    return _written(place, _docker_archive(f"{blobs}{_hex(config_of(_LAYERS))}", _gzipped(blobs)))


def jib_docker(place: Place) -> str:
    """Write what `jib:buildTar` does (ImageTarball.java)."""
    return _written(place, _docker_archive("config.json", _gzipped()))


def _nix() -> bytes:
    """Return what Nix's dockerTools stream (stream_layered_image.py)."""
    layers = {f"{_hex(each)}/layer.tar": each for each in _LAYERS}
    return _docker_archive(f"{_hex(config_of(_LAYERS))}.json", layers)


def nix_streamed(place: Place) -> str:
    return _written(place, _nix())


def nix_layered(place: Place) -> str:
    """Write what `buildLayeredImage` does, which compresses the whole."""
    return _written(place, gzip.compress(_nix(), mtime=0))


# -- layouts --------------------------------------------------------------------------------------


def _layout(place: Place, made: Made) -> str:
    made.written(place.folder / "layout")
    return place.source("oci-layout", "layout")


def bazel_links(place: Place) -> str:
    """Make a layout of links, as Bazel writes the result of a rule."""
    made, _, _ = platforms()
    made.written(place.folder / "cache")
    for name in made.files:
        link = place.folder / "layout" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place.folder / "cache" / name)
    return place.source("oci-layout", "layout")


def attested_index(place: Place) -> str:
    made, _, _ = platforms()
    return _layout(place, made)


def nested_index(place: Place) -> str:
    """Make an index of indexes; two of them name one child."""
    made = Made()
    amd64, arm64 = made.image(1), made.image(10, architecture="arm64")
    inner, other = made.index(amd64, arm64), made.index(arm64)
    made.tag(made.index(inner, other, amd64), None)
    return _layout(place, made)


def _manifest(made: Made, config: Any, layers: Sequence[Any], **more: Any) -> None:
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    made.tag(made.named(json.dumps(document | more).encode(), MANIFEST), None)


def unknown_types(place: Place) -> str:
    """Make a manifest whose config and layers have unknown types."""
    made = Made()
    config = made.named(b"\x00\x01 no JSON", "application/vnd.acme.model.config")
    layers = [made.named(b"weights" * 999, "application/vnd.acme.model.weights")]
    _manifest(made, config, layers, annotations={"acme": "é"}, acme={"unknown": [1.0, None]})
    return _layout(place, made)


def empty_artifact(place: Place) -> str:
    """Make an artifact without files as in the image-spec: an empty config and layer."""
    made = Made()
    empty = made.named(b"{}", _EMPTY, data="e30=")
    _manifest(made, empty, [empty], artifactType="application/vnd.acme.marker")
    return _layout(place, made)


def repeated_layer(place: Place) -> str:
    """Make an image that has one layer three times."""
    made, content = Made(), layer(1)
    named = made.named(gzip.compress(content, mtime=0), LAYER)
    _manifest(made, made.named(config_of([content] * 3), CONFIG), [named] * 3)
    return _layout(place, made)


def no_layers(place: Place) -> str:
    made = Made()
    _manifest(made, made.named(config_of([]), CONFIG), [])
    return _layout(place, made)


def docker_list(place: Place) -> str:
    """Make a manifest list of Docker's own types."""
    made, children = Made(), []
    for seed, architecture in enumerate(("amd64", "arm64")):
        content = layer(seed)
        document = {
            "schemaVersion": 2,
            "mediaType": _DOCKER_MANIFEST,
            "config": made.named(config_of([content], architecture=architecture), _DOCKER_CONFIG),
            "layers": [made.named(gzip.compress(content, mtime=0), _DOCKER_LAYER)],
        }
        platform = {"os": "linux", "architecture": architecture}
        raw = json.dumps(document, indent=3).encode()
        children.append(made.named(raw, _DOCKER_MANIFEST, platform=platform))
    top = {"schemaVersion": 2, "mediaType": _DOCKER_LIST, "manifests": children}
    made.tag(made.named(json.dumps(top, indent=3).encode(), _DOCKER_LIST), None)
    return _layout(place, made)


def untyped_manifest(place: Place) -> str:
    """Make a manifest without a media type, as in early versions of the image-spec."""
    made, digest = one_image(None)
    document = json.loads(made.files[f"blobs/sha256/{digest[7:]}"])
    del document["mediaType"]
    made.entries = [made.named(json.dumps(document).encode(), MANIFEST)]
    return _layout(place, made)


RECIPES: tuple[Recipe, ...] = recipes(
    kaniko_docker,
    bazel_docker,
    jib_docker,
    nix_streamed,
    nix_layered,
    bazel_links,
    attested_index,
    nested_index,
    unknown_types,
    empty_artifact,
    repeated_layer,
    no_layers,
    docker_list,
    untyped_manifest,
)
