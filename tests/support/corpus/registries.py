"""Content of skopeo, crane and oras: tools that copy between registries and disk."""

from collections.abc import Mapping

from tests.support.corpus.place import Place, Recipe, recipes
from tests.support.layouts import docker_archive, platforms
from tests.support.saved import layer, tar


def _archive(place: Place) -> str:
    """Write a docker archive for tools that make no images; return its name."""
    archive = tar(docker_archive([layer(1, 20_000), layer(2)]))
    (place.folder / "seed.tar").write_bytes(archive)
    return "docker-archive:seed.tar"


def _index(place: Place) -> str:
    """Write a layout of several platforms; return its name."""
    made, _, _ = platforms()
    made.written(place.folder / "platforms")
    return "oci:platforms:multi"


def _seeded(place: Place, source: str, *more: str) -> str:
    """Push content to a registry with skopeo; return its reference."""
    target = f"{place.tools.registry}/seed/{place.folder.name}:1"
    words = ("skopeo", "copy", "--quiet", "--dest-tls-verify=false", *more, source)
    place.run(*words, f"docker://{target}")
    return target


# -- skopeo ---------------------------------------------------------------------------------------


def _skopeo(place: Place, source: str, target: str, *more: str) -> None:
    place.run("skopeo", "copy", "--quiet", *more, source, target)


def skopeo_layout(place: Place) -> str:
    for tag in ("one", "two"):
        _skopeo(place, _archive(place), f"oci:layout:{tag}")
    return place.source("oci", "layout", "two")


def skopeo_archive(place: Place) -> str:
    _skopeo(place, _archive(place), "oci-archive:app.tar:v1")
    return place.source("oci-archive", "app.tar", "v1")


def skopeo_docker(place: Place) -> str:
    _skopeo(place, _archive(place), "docker-archive:app.tar:acme/app:7")
    return place.source("docker-archive", "app.tar", "acme/app:7")


def skopeo_platforms(place: Place) -> str:
    _skopeo(place, _index(place), "oci:all:multi", "--all")
    return place.source("oci-layout", "all", "multi")


def skopeo_uncompressed(place: Place) -> str:
    _skopeo(place, _archive(place), "oci:plain:1", "--dest-oci-accept-uncompressed-layers")
    return place.source("oci-layout", "plain", "1")


def skopeo_zstd(place: Place) -> str:
    more = ("--dest-compress-format=zstd", "--dest-compress")
    _skopeo(place, _archive(place), "oci-archive:zstd.tar", *more)
    return place.source("oci-archive", "zstd.tar")


# -- crane ----------------------------------------------------------------------------------------


def crane_layout(place: Place) -> str:
    place.run("crane", "pull", "--format=oci", _seeded(place, _archive(place)), "layout")
    return place.source("oci-layout", "layout")


def crane_docker(place: Place) -> str:
    place.run("crane", "pull", _seeded(place, _archive(place)), "app.tar")
    return place.source("docker-archive", "app.tar")


def crane_legacy(place: Place) -> str:
    place.run("crane", "pull", "--format=legacy", _seeded(place, _archive(place)), "legacy.tar")
    return place.source("docker-archive", "legacy.tar")


def crane_docker_types(place: Place) -> str:
    seed = _seeded(place, _archive(place), "--format=v2s2")
    place.run("crane", "pull", "--format=oci", "--annotate-ref", seed, "layout")
    return place.source("oci-layout", "layout", seed)


def crane_index(place: Place) -> str:
    seed = _seeded(place, _index(place), "--all")
    place.run("crane", "pull", "--format=oci", seed, "layout")
    return place.source("oci-layout", "layout")


def crane_several(place: Place) -> str:
    """Make one docker archive of two images that share a layer."""
    seed = _seeded(place, _archive(place))
    (place.folder / "more.tar").write_bytes(layer(3))
    place.run(
        "crane", "append", "--base", seed, "--new_layer", "more.tar", "--new_tag", f"{seed}.1"
    )
    place.run("crane", "pull", seed, f"{seed}.1", "two.tar")
    return place.source("docker-archive", "two.tar", f"{seed}.1")


# -- oras -----------------------------------------------------------------------------------------


def oras_layout(place: Place) -> str:
    seed = _seeded(place, _archive(place))
    place.run("oras", "copy", "--from-plain-http", "--to-oci-layout", seed, "layout:1")
    return place.source("oci-layout", "layout", "1")


def oras_archive(place: Place) -> str:
    oras_layout(place)
    place.run("tar", "-C", "layout", "-cf", "layout.tar", ".")
    return place.source("oci-archive", "layout.tar", "1")


def oras_artifact(place: Place) -> str:
    """Make an artifact whose config is the empty one."""
    (place.folder / "note.txt").write_text("an artifact\n")
    words = ("oras", "push", "--oci-layout", "artifact:a", "--artifact-type", "text/note")
    place.run(*words, "note.txt:text/plain")
    return place.source("oci-layout", "artifact", "a")


def oras_attached(place: Place) -> str:
    """Make an artifact that refers to another, which is pushed with it."""
    oras_artifact(place)
    (place.folder / "more.json").write_text("{}\n")
    words = ("oras", "attach", "--oci-layout", "artifact:a", "--artifact-type", "text/more")
    place.run(*words, "more.json:application/json", "--export-manifest", "attached.json")
    place.run("oras", "manifest", "push", "--oci-layout", "artifact:b", "attached.json")
    return place.source("oci-layout", "artifact", "b")


FAMILIES: Mapping[str, tuple[Recipe, ...]] = {
    "skopeo": recipes(
        skopeo_layout,
        skopeo_archive,
        skopeo_docker,
        skopeo_platforms,
        skopeo_uncompressed,
        skopeo_zstd,
    ),
    "crane": recipes(
        crane_layout,
        crane_docker,
        crane_legacy,
        crane_docker_types,
        crane_index,
        crane_several,
    ),
    "oras": recipes(oras_layout, oras_archive, oras_artifact, oras_attached),
}
