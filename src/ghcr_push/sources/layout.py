"""OCI layouts, in a folder or in an archive: selects an image and finds all its parts.

The image-spec, "OCI Image Layout". Manifests are read at once, each verified by digest and size;
blobs are read in place, when a repository lacks them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

from ghcr_push import media_types
from ghcr_push.documents import Document, Fields, as_list, json_object
from ghcr_push.failures import PushError
from ghcr_push.model import LARGEST_MANIFEST, Descriptor, Manifest
from ghcr_push.references import Digest, digest_of, is_called, is_digest
from ghcr_push.sources.disk import Files, unusable
from ghcr_push.sources.graph import ImageGraph, listed, the_one
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.referrers import Listed, Relations, found_in, relations_of

_TYPES: Final = frozenset({*media_types.MANIFESTS, "application/vnd.oci.artifact.manifest.v1+json"})

LARGEST_INDEX: Final = 8 << 20
"""Maximum bytes of ``index.json``: some ten thousand images."""

_MAJOR: Final = "1"
"""The supported major version of layouts; the image-spec has 1.0.0 alone."""

_DEEPEST: Final = 8
"""Maximum depth of nested indexes; tools nest two."""

_ALGORITHMS: Final = frozenset({"sha256", "sha512"})
"""The algorithms registered in the image-spec."""

_PLATFORM: Final = ("architecture", "os", "os.version", "os.features", "variant")
"""The fields of a config that an index repeats (image-spec, "Image Index", platform)."""

# annotations besides the image-spec's name: buildkit and containerd write the whole reference
_NAMES: Final = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class Layout:
    """An OCI layout; ``title`` is its name in messages. Raises ``PushError`` if it is invalid."""

    def __init__(self, files: Files, title: str) -> None:
        self._files = files
        self._title = title

    def choose(self, name: str) -> Digest:
        """Return the digest of the image called ``name``: a tag, reference, digest, or empty.

        Without a name, the layout must hold one image. The error lists the available images.
        """
        entries = self._index()
        if is_digest(name):
            digest = Digest(name)
            listed_here = any(entry.digest == digest for entry, _ in entries)
            if listed_here or self._files.size(path_of(digest)) is not None:
                return digest
            raise self._unusable(f"has no {name}; it has {listed(_titles(entries))}")
        fitting = {entry.digest for entry, names in entries if not name or is_called(name, names)}
        if not name and len(fitting) > 1:  # a signature beside the image is not another image
            fitting -= {each.digest for found in self.relations().values() for each in found}
        if len(fitting) == 1:
            return fitting.pop()
        there = listed(_titles(entries))
        if not entries:
            raise self._unusable("holds no image")
        if not name:
            raise self._unusable(f"holds {len(fitting)} images; name one of {there}")
        found = "no image" if not fitting else "several images"
        raise self._unusable(f"has {found} named {name}; it has {there}")

    def read(self, digest: Digest, platform: str | None) -> SavedImage:
        """Return an image after checking that all its parts exist.

        ``platform`` selects one platform of an index.
        """
        contents = ImageGraph()
        self._load(digest, None, contents, 0)
        saved = self._chosen(digest, platform, contents)
        for named in saved.blobs:
            size = contents.blobs.get(named.digest, named.size)
            if size != named.size:
                raise self._unusable(f"has {size:,} bytes of {named.digest}, not {named.size:,}")
            if not size and digest_of(b"", named.digest.partition(":")[0]) != named.digest:
                raise self._unusable(f"has no bytes of {named.digest}")
        return replace(saved, entries=tuple(self._entries(saved.manifests[-1], contents)))

    def with_referrers(self, saved: SavedImage) -> SavedImage:
        """Add the referrers, in this layout, of an image that was read or of its parts."""
        read = cache(lambda digest: self.read(digest, None))
        return replace(saved, referrers=found_in(saved, self.relations(), read))

    def relations(self) -> Relations:
        """Return the relations between all readable manifests that ``index.json`` leads to."""
        raw = self._files.content("index.json", LARGEST_INDEX) or b""
        return relations_of(self._listed(json_object(raw) or {}, set(), 0))

    def _listed(self, index: Document, seen: set[Digest], depth: int) -> Iterator[Listed]:
        """Yield the manifests of an index at any depth, skipping damaged ones."""
        for entry in as_list(index.get("manifests")) if depth <= _DEEPEST else ():
            try:
                named, names = self._entry(entry)
                raw = self._files.content(path_of(named.digest))
            except PushError:
                continue
            document = json_object(raw or b"") or {}
            yield Listed(named.digest, names, entry.get("annotations") or {}, document)
            if named.digest not in seen:
                seen.add(named.digest)
                yield from self._listed(document, seen, depth + 1)

    def _entries(self, manifest: Manifest, contents: ImageGraph) -> Iterator[Fields]:
        """Yield descriptors for an index: those of an index one by one, nested ones flattened."""
        document = contents.documents[manifest.digest]
        if "manifests" in document:
            for entry in document["manifests"]:
                child = contents.manifests[Digest(entry["digest"])]
                nested = "manifests" in contents.documents[child.digest]
                yield from self._entries(child, contents) if nested else (entry,)
            return
        config = self._files.content(path_of(Digest(document["config"]["digest"])))
        fields = json_object(config or b"") or {}
        platform = {key: fields[key] for key in _PLATFORM if fields.get(key)}
        described = {
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": len(manifest.raw),
        }
        yield described | ({"platform": platform} if platform else {})

    def _chosen(self, digest: Digest, platform: str | None, contents: ImageGraph) -> SavedImage:
        wanted = digest
        if platform is not None:
            wanted = the_one(list(contents.platforms_of(digest)), platform, self._title).digest
        if wanted not in contents.manifests:
            raise self._unusable(f"lacks the manifest {wanted}")
        if lacking := listed(contents.lacking(wanted)):
            whole = "" if platform else listed(contents.complete_platforms(wanted))
            hint = f"; only {whole} can be pushed, by `platform`" if whole else ""
            raise self._unusable(f"lacks {lacking}, which {wanted} names{hint}")
        return contents.saved(wanted)

    # -- the index --------------------------------------------------------------------------

    def _index(self) -> list[tuple[Descriptor, tuple[str, ...]]]:
        self._check_version()
        raw = self._files.content("index.json", LARGEST_INDEX)
        if raw is None:
            names = self._files.names()
            hint = "; write docker-archive: for a docker archive" * ("manifest.json" in names)
            there = listed(names) or "nothing"
            raise self._unusable(f"is not an OCI layout: it has no index.json, but {there}{hint}")
        document = self._document("index.json", raw)
        entries = document.get("manifests")
        if not isinstance(entries, list):
            raise self._unusable("is not an OCI layout: its index.json lists no manifests")
        return [self._entry(entry) for entry in entries]

    def _check_version(self) -> None:
        """Reject a layout of another major version; some tools write no version."""
        raw = self._files.content("oci-layout")
        version = (json_object(raw) or {}).get("imageLayoutVersion") if raw is not None else None
        if version is not None and str(version).partition(".")[0] != _MAJOR:
            raise self._unusable(f"is a layout of version {version}; only {_MAJOR}.x is known")

    def _entry(self, entry: Any) -> tuple[Descriptor, tuple[str, ...]]:  # any JSON
        try:
            notes = entry.get("annotations") or {}
            names = tuple(str(notes[key]) for key in _NAMES if notes.get(key))
            return _descriptor(entry), names
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unusable(
                "has an entry in its index.json that is not a descriptor"
            ) from error

    # -- the parts of an image --------------------------------------------------------------

    def _load(
        self,
        digest: Digest,
        named: Descriptor | None,
        contents: ImageGraph,
        depth: int,
    ) -> None:
        """Read a manifest or index and all its parts, skipping missing ones."""
        if digest in contents.manifests:
            return
        if depth > _DEEPEST:
            raise self._unusable("nests its indexes too deeply")
        raw = self._files.content(path_of(digest))
        if raw is None:
            return
        self._check(digest, raw, named)
        document = self._document(str(digest), raw)
        try:
            children, blobs = named_by(document)
        except ValueError as error:
            raise self._unusable(_invalid(digest, document)) from error
        contents.add_manifest(Manifest(_media_type(document, named), digest, raw), document)
        for child in children:
            self._load(child.digest, child, contents, depth + 1)
        for blob in blobs:
            self._note_blob(blob, contents)

    def _note_blob(self, blob: Descriptor, contents: ImageGraph) -> None:
        size = self._files.size(path_of(blob.digest))
        if size is None:
            return
        contents.blobs[blob.digest] = size
        if blob.media_type.endswith("+json") and size <= LARGEST_MANIFEST:
            raw = self._files.content(path_of(blob.digest)) or b""
            contents.add_document(blob.digest, json_object(raw) or {})

    def _check(self, digest: Digest, raw: bytes, named: Descriptor | None) -> None:
        found = digest_of(raw, digest.partition(":")[0])
        if found != digest:
            raise self._unusable(f"has other bytes under {digest}: theirs is {found}")
        if named is not None and named.size != len(raw):
            raise self._unusable(f"has {len(raw):,} bytes of {digest}, not {named.size:,}")

    def _document(self, name: str, raw: bytes) -> Document:
        document = json_object(raw)
        if document is None:
            raise self._unusable(f"has {name}, which is not a JSON object")
        return document

    def _unusable(self, what: str) -> Exception:
        return unusable(f"{self._title} {what}")


def named_by(document: Document) -> tuple[list[Descriptor], list[Descriptor]]:
    """Return the manifests and blobs in a manifest or index; ``ValueError`` for others."""
    try:
        if "manifests" in document:
            return [_descriptor(each) for each in _list(document["manifests"])], []
        named = [document["config"], *_list(document["layers"])]
        return [], [_descriptor(each) for each in named]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("no manifest") from error


def path_of(digest: Digest) -> str:
    """Return the path of a blob or manifest in a layout."""
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _descriptor(entry: Any) -> Descriptor:  # any JSON
    """Return what an entry describes, once all of it is of the types that the image-spec gives."""
    digest, media_type, size = str(entry["digest"]), entry["mediaType"], entry["size"]
    if not is_digest(digest) or digest.partition(":")[0] not in _ALGORITHMS:
        raise ValueError(digest)
    platform, annotations = entry.get("platform") or {}, entry.get("annotations") or {}
    texts = [media_type, *annotations.values()]
    texts += [
        platform[key] for key in _PLATFORM if key != "os.features" and platform.get(key) is not None
    ]
    if not isinstance(size, int) or not all(isinstance(text, str) for text in texts):
        raise TypeError(entry)
    return Descriptor(media_type, Digest(digest), size)


def _invalid(digest: Digest, document: Document) -> str:
    if document.get("schemaVersion") == 1:
        return (
            f"has a manifest of schema 1, which registries no longer accept: {digest}; convert it, "
            "for example with `skopeo copy --format v2s2`"
        )
    if "artifactType" in document and "layers" not in document:
        return f"has an artifact manifest, a form that the image-spec has dropped: {digest}"
    return f"has an invalid manifest {digest}"


def _list(value: object) -> list[Any]:  # of any JSON
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _media_type(document: Document, named: Descriptor | None) -> str:
    """Return a manifest's media type, or its descriptor's, or the one its fields suggest."""
    media_type = document.get("mediaType") or (named.media_type if named else None)
    if isinstance(media_type, str) and media_type in _TYPES:
        return media_type
    return media_types.INDEX if "manifests" in document else media_types.MANIFEST


def _titles(entries: Iterable[tuple[Descriptor, tuple[str, ...]]]) -> Iterator[str]:
    for entry, names in entries:
        yield names[0] if names else entry.digest
