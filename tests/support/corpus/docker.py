"""Content of Docker Engines, of both stores and several releases, and of buildx."""

import gzip
from collections.abc import Callable, Mapping
from functools import partial

from tests.support.corpus.place import PLATFORMS, Place, Recipe

_ENGINES = (
    ("bookworm", "classic"),
    ("trixie", "classic"),
    ("trixie", "containerd"),
    ("sid", "classic"),
    ("sid", "containerd"),
)
"""Of 20.10, 26.1 and 28.5 or newer."""


# -- docker save ------------------------------------------------------------------------------


def _docker(place: Place, release: str, store: str, *words: str) -> None:
    place.run("docker", *words, environ=place.tools.engine(release, store).environ)


def _saved(place: Place, release: str, store: str, form: str) -> str:
    _docker(place, release, store, "save", "--output", "app.tar", "app:1")
    return place.source(form, "app.tar", "" if store == "classic" else "app:1")


def _saved_several(place: Place, release: str, store: str) -> str:
    engine = place.tools.engine(release, store)
    engine.build("FROM app:1\nLABEL of=other\n", "--tag", "other:2")
    _docker(place, release, store, "save", "--output", "two.tar", "app:1", "other:2")
    return place.source("docker-archive", "two.tar", "other:2")


def _saved_gzipped(place: Place, release: str, store: str) -> str:
    _docker(place, release, store, "save", "--output", "app.tar", "app:1")
    raw = (place.folder / "app.tar").read_bytes()
    (place.folder / "app.tar.gz").write_bytes(gzip.compress(raw, 1))
    return place.source("docker-archive", "app.tar.gz", "app:1")


def _saved_platform(place: Place, release: str, store: str) -> str:
    words = ("buildx", "build", "--quiet", "--platform", PLATFORMS, "--tag", "multi:1")
    _docker(place, release, store, *words, str(place.tools.context))
    words = ("image", "save", "--platform", "linux/arm64", "--output", "arm64.tar", "multi:1")
    _docker(place, release, store, *words)
    return place.source("oci-archive", "arm64.tar")


def _saving(release: str, store: str) -> tuple[Recipe, ...]:
    """Return the recipes for one engine; layouts exist from 25 on, single platforms from 28 on."""
    named: dict[str, Callable[..., str]] = {
        "docker": partial(_saved, form="docker-archive"),
        "several": _saved_several,
        "gzipped": _saved_gzipped,
    }
    if release != "bookworm":
        named["layout"] = partial(_saved, form="oci-archive")
    if (release, store) == ("sid", "containerd"):
        named["platform"] = _saved_platform
    return tuple(
        Recipe(f"save-{name}-{release}-{store}", partial(make, release=release, store=store))
        for name, make in named.items()
    )


# -- buildx -------------------------------------------------------------------------------------


def _built(
    place: Place,
    form: str,
    options: str = "",
    *,
    platforms: str = "linux/amd64",
    release: str = "trixie",
    more: tuple[str, ...] = (),
    image: str = "",
) -> str:
    """Let buildx write an archive, or a folder if the options say so."""
    kind = "docker" if form == "docker-archive" else "oci"
    name = "folder" if form == "oci-layout" else "built.tar"
    output = f"type={kind},dest={name}{options and f',{options}'}"
    words = ("buildx", "build", "--quiet", "--platform", platforms, "--output", output, *more)
    _docker(place, release, "containerd", *words, str(place.tools.context))
    return place.source(form, name, image)


def _built_gzipped(place: Place) -> str:
    _built(place, "oci-archive", platforms=PLATFORMS)
    raw = (place.folder / "built.tar").read_bytes()
    (place.folder / "built.tar.gz").write_bytes(gzip.compress(raw, 1))
    return place.source("oci-archive", "built.tar.gz")


_REFERENCE = "ghcr.io/acme/app:3"
_FORCED = "force-compression=true"
_PROVED = ("--provenance", "mode=max", "--annotation", "index:org.opencontainers.image.title=app")

_BUILDX: Mapping[str, Callable[[Place], str]] = {
    "oci": partial(_built, form="oci-archive"),
    "platforms": partial(_built, form="oci-archive", platforms=PLATFORMS),
    "named": partial(_built, form="oci-archive", options=f"name={_REFERENCE}", image=_REFERENCE),
    "folder": partial(_built, form="oci-layout", options="tar=false", platforms=PLATFORMS),
    "gzipped": _built_gzipped,
    "docker-types": partial(_built, form="oci-archive", options="oci-mediatypes=false"),
    "uncompressed": partial(
        _built, form="oci-archive", options=f"compression=uncompressed,{_FORCED}"
    ),
    "zstd": partial(_built, form="oci-archive", options=f"compression=zstd,{_FORCED}"),
    "estargz": partial(_built, form="oci-archive", options=f"compression=estargz,{_FORCED}"),
    "docker": partial(_built, form="docker-archive", options="name=app:9"),
    "unproved": partial(_built, form="oci-archive", more=("--provenance=false",)),
    "annotated": partial(
        _built, form="oci-layout", options="tar=false", platforms=PLATFORMS, more=_PROVED
    ),
    "sid-annotated": partial(
        _built, form="oci-archive", platforms=PLATFORMS, more=_PROVED, release="sid"
    ),
}

FAMILIES: Mapping[str, tuple[Recipe, ...]] = {
    "buildx": tuple(Recipe(f"buildx-{name}", make) for name, make in _BUILDX.items()),
    **{f"docker-{release}-{store}": _saving(release, store) for release, store in _ENGINES},
}
