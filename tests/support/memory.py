"""A registry in memory, used behind the front in place of a real process.

It does what distribution-spec says of a push and nothing else; what a registry does wrong or
differently is data: rules of the front's `Behaviour`, or `Serves` for what it does not know at
all. tests/integration/test_registry_contract.py holds it to what real registries do.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from multidict import CIMultiDict

from tests.support.front.stats import Ledger
from tests.support.front.steps import WRITES, Call, Step
from tests.support.front.upstream import ClientBody, Landed
from tests.support.loadable import Loadable, described
from tests.support.saved import INDEX, MANIFEST, digest_of

_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serves:
    """The parts of the specification that the registry supports.

    - `mounts`: else a mount's POST begins a plain upload.
    - `resumes`: else an upload whose request broke off is unknown from then on.
    - `checks_references`: else a manifest may name what is not there.
    - `needs_subjects`: a manifest is refused until its subject is there.
    - `referrers`: it has the referrers API, with lists in pages of two; else it answers 404.
    """

    mounts: bool = True
    resumes: bool = True
    checks_references: bool = True
    needs_subjects: bool = False
    referrers: bool = False


@dataclass(slots=True)
class _Upload:
    repository: str
    content: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Held:
    """One repository: blobs by digest, manifests with their media types, tags."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class MemoryRegistry:
    """Repositories in memory; a name is `repository:tag` or `repository@digest`."""

    def __init__(self, serves: Serves | None = None) -> None:
        self.serves = serves or Serves()
        self._held: defaultdict[str, _Held] = defaultdict(_Held)
        self._uploads: dict[str, _Upload] = {}
        self._numbers = count(1)
        self.after_write: Callable[[str], None] = lambda _: None
        """Called with the reference of each manifest that was written."""

    # -- for tests --------------------------------------------------------------------------

    def tags(self, repository: str) -> dict[str, str]:
        """Return the digests that the tags of `repository` name."""
        return dict(self._held[repository].tags)

    def digest(self, name: str) -> str | None:
        """Return the digest under `name`; None if there is nothing."""
        repository, reference = _parts(name)
        return self._digest(repository, reference)

    def manifest(self, name: str) -> dict[str, Any]:
        """Return the manifest or index under `name`, read as JSON."""
        repository, reference = _parts(name)
        digest = self._digest(repository, reference)
        assert digest is not None, f"{name} is not there"
        document: dict[str, Any] = json.loads(self._held[repository].manifests[digest][1])
        return document

    def blobs(self, repository: str) -> dict[str, bytes]:
        """Return the blobs of `repository` by digest."""
        return dict(self._held[repository].blobs)

    def lacking(self, name: str) -> list[str]:
        """Return the digests of missing parts of `name`, at any depth."""
        repository, reference = _parts(name)
        digest = self._digest(repository, reference)
        return [reference] if digest is None else list(self._lacking(repository, digest))

    def put(self, name: str, *images: Loadable) -> str:
        """Add an image under `name`, or an index of several; return its digest."""
        repository, reference = _parts(name)
        held = self._held[repository]
        for image in images:
            held.blobs |= {digest_of(blob): blob for blob in image.blobs}
            held.manifests[digest_of(image.manifest)] = (MANIFEST, image.manifest)
        media_type, top = MANIFEST, images[0].manifest
        if len(images) > 1:
            media_type, top = INDEX, index_of(images)
        held.manifests[digest_of(top)] = (media_type, top)
        if ":" not in reference:
            held.tags[reference] = digest_of(top)
        return digest_of(top)

    def hold(self, name: str, manifest: bytes, *blobs: bytes, media_type: str = MANIFEST) -> str:
        """Add any manifest under `name`, with its blobs; return its digest."""
        repository, reference = _parts(name)
        held, digest = self._held[repository], digest_of(manifest)
        held.blobs |= {digest_of(blob): blob for blob in blobs}
        held.manifests[digest] = (media_type, manifest)
        if ":" not in reference:
            held.tags[reference] = digest
        return digest

    def raw(self, name: str) -> bytes:
        """Return the bytes of the manifest or index under `name`."""
        repository, reference = _parts(name)
        digest = self._digest(repository, reference)
        assert digest is not None, f"{name} is not there"
        return self._held[repository].manifests[digest][1]

    def referring(self, repository: str, subject: str) -> list[str]:
        """Return the digests of manifests with that subject, as the referrers API lists them."""
        held = self._held[repository].manifests
        return [each for each, (_, raw) in held.items() if _subject(json.loads(raw)) == subject]

    def forget(self, repository: str, digest: str) -> None:
        """Delete a blob or a manifest, as a clean-up job does; tags still name it."""
        self._held[repository].blobs.pop(digest, None)
        self._held[repository].manifests.pop(digest, None)

    # -- behind a front ---------------------------------------------------------------------

    async def send(
        self,
        call: Call,
        headers: CIMultiDict[str],
        body: ClientBody | bytes | None,
        ledger: Ledger,
        *,
        serialise: bool,  # noqa: ARG002 - nothing in here waits but for bodies
    ) -> Landed:
        """Answer `call`."""
        write = call.step in WRITES
        ledger.sent(+write)
        try:
            if call.step in (Step.UPLOAD_PATCH, Step.UPLOAD_PUT):
                return await self._uploaded(call, headers, body)
            content = await body.read() if isinstance(body, ClientBody) else body or b""
            return self._answer(call, headers, content)
        finally:
            ledger.sent(-write)

    async def digest_of(self, repository: str, reference: str) -> str:
        """Return the digest that `reference` names now, empty if it names nothing."""
        return self._digest(repository, reference) or ""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    # -- requests ---------------------------------------------------------------------------

    def _answer(self, call: Call, headers: CIMultiDict[str], content: bytes) -> Landed:
        match call.step:
            case Step.UPLOAD_POST:
                return self._begin(call, headers)
            case Step.UPLOAD_GET | Step.UPLOAD_DELETE:
                return self._status(call, headers)
            case Step.MANIFEST_PUT:
                return self._write(call, headers.get("Content-Type", ""), content)
            case Step.MANIFEST_DELETE:
                return self._delete(call)
            case _:
                return self._looked_up(call)

    def _looked_up(self, call: Call) -> Landed:
        match call.step:
            case Step.PING:
                return _landed(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")
            case Step.BLOB_HEAD | Step.BLOB_GET:
                return self._blob(call)
            case Step.MANIFEST_HEAD | Step.MANIFEST_GET:
                return self._read(call)
            case Step.REFERRERS if self.serves.referrers:
                return self._referrers(call)
            case Step.TAGS_LIST:
                listed = {"name": call.repository, "tags": sorted(self.tags(call.repository))}
                return _landed(200, {}, json.dumps(listed).encode())
            case _:
                return _refused(404, "UNSUPPORTED", "there is nothing of that name")

    def _referrers(self, call: Call) -> Landed:
        held = self._held[call.repository].manifests
        listed = [
            {"mediaType": held[digest][0], "digest": digest, "size": len(held[digest][1])}
            for digest in self.referring(call.repository, call.reference)
        ]
        first = int(dict(parse_qsl(urlsplit(call.path).query)).get("first", "0"))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed[first : first + 2]}
        headers = {"Content-Type": INDEX}
        if len(listed) > first + 2:
            path = f"/v2/{call.repository}/referrers/{call.reference}?first={first + 2}"
            headers["Link"] = f'<{path}>; rel="next"'
        return _landed(200, headers, json.dumps(index).encode())

    def _blob(self, call: Call) -> Landed:
        content = self._held[call.repository].blobs.get(call.reference)
        if content is None:
            return _refused(404, "BLOB_UNKNOWN", "blob unknown to registry", call.reference)
        headers = {"Content-Type": "application/octet-stream", **_named(call.reference)}
        return _landed(200, headers, content)

    def _begin(self, call: Call, headers: CIMultiDict[str]) -> Landed:
        content = self._held[call.mount_from].blobs.get(call.reference) if call.mount_from else None
        if content is not None and self.serves.mounts:
            self._held[call.repository].blobs[call.reference] = content
            return _landed(201, self._at_blob(call, headers))
        number = f"{next(self._numbers)}"
        self._uploads[number] = _Upload(call.repository)
        return _landed(202, self._at_upload(number, headers))

    def _status(self, call: Call, headers: CIMultiDict[str]) -> Landed:
        number = _number(call)
        if number not in self._uploads:
            return _no_upload()
        if call.step is Step.UPLOAD_DELETE:
            del self._uploads[number]
            return _landed(204, {})
        return _landed(204, self._at_upload(number, headers))

    async def _uploaded(
        self, call: Call, headers: CIMultiDict[str], body: ClientBody | bytes | None
    ) -> Landed:
        number = _number(call)
        upload = self._uploads.get(number)
        if upload is None:
            return _no_upload()
        place = _RANGE.search(headers.get("Content-Range", ""))
        if place and int(place[1]) != len(upload.content):
            refused = _refused(416, "BLOB_UPLOAD_INVALID", "the range does not follow")
            refused.headers.update(self._at_upload(number, headers))
            return refused
        complete = False
        try:
            async for piece in _pieces(body):
                upload.content += piece
            complete = True
        finally:
            if not complete and not self.serves.resumes:
                del self._uploads[number]
        if call.step is Step.UPLOAD_PATCH:
            return _landed(202, self._at_upload(number, headers))
        return self._commit(call, number, headers)

    def _commit(self, call: Call, number: str, headers: CIMultiDict[str]) -> Landed:
        content = bytes(self._uploads.pop(number).content)
        if not _is_of(content, call.reference):
            return _refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self._held[call.repository].blobs[call.reference] = content
        return _landed(201, self._at_blob(call, headers))

    def _read(self, call: Call) -> Landed:
        digest = self._digest(call.repository, call.reference)
        if digest is None:
            return _refused(404, "MANIFEST_UNKNOWN", "manifest unknown", call.reference)
        media_type, raw = self._held[call.repository].manifests[digest]
        return _landed(200, {"Content-Type": media_type, **_named(digest)}, raw)

    def _write(self, call: Call, media_type: str, raw: bytes) -> Landed:
        held = self._held[call.repository]
        try:
            document = json.loads(raw)
        except ValueError:
            return _refused(400, "MANIFEST_INVALID", "manifest invalid")
        if ":" in call.reference and not _is_of(raw, call.reference):
            return _refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if self.serves.checks_references:
            for digest, there in _references(document, held):
                if not there:
                    words = "blob unknown to registry"
                    return _refused(400, "MANIFEST_BLOB_UNKNOWN", words, digest)
        subject = _subject(document)
        if self.serves.needs_subjects and subject and subject not in held.manifests:
            return _refused(400, "BLOB_UNKNOWN", f"unknown subject {subject}")
        digest = call.reference if ":" in call.reference else digest_of(raw)
        held.manifests[digest] = (media_type, raw)
        if ":" not in call.reference:
            held.tags[call.reference] = digest
        self.after_write(call.reference)
        where = f"/v2/{call.repository}/manifests/{digest}"
        listed = {"OCI-Subject": subject} if subject and self.serves.referrers else {}
        return _landed(201, {"Location": where, **_named(digest), **listed})

    def _delete(self, call: Call) -> Landed:
        held, digest = self._held[call.repository], self._digest(call.repository, call.reference)
        if digest is None:
            return _refused(404, "MANIFEST_UNKNOWN", "manifest unknown", call.reference)
        if ":" in call.reference:
            del held.manifests[digest]
            held.tags = {tag: named for tag, named in held.tags.items() if named != digest}
        else:
            del held.tags[call.reference]
        return _landed(202, {})

    # -- what is there ----------------------------------------------------------------------

    def _digest(self, repository: str, reference: str) -> str | None:
        held = self._held[repository]
        digest = reference if ":" in reference else held.tags.get(reference)
        return digest if digest in held.manifests else None

    def _lacking(self, repository: str, digest: str) -> Iterator[str]:
        held = self._held[repository]
        for named, there in _references(json.loads(held.manifests[digest][1]), held):
            if not there:
                yield named
            elif named in held.manifests:
                yield from self._lacking(repository, named)

    def _at_upload(self, number: str, headers: CIMultiDict[str]) -> dict[str, str]:
        upload = self._uploads[number]
        return {
            "Location": f"{_origin(headers)}/v2/{upload.repository}/blobs/uploads/{number}",
            "Range": f"0-{max(0, len(upload.content) - 1)}",
            "Docker-Upload-UUID": number,
        }

    def _at_blob(self, call: Call, headers: CIMultiDict[str]) -> dict[str, str]:
        where = f"{_origin(headers)}/v2/{call.repository}/blobs/{call.reference}"
        return {"Location": where, **_named(call.reference)}


def index_of(images: Sequence[Loadable]) -> bytes:
    """Return the index of several images, a platform each."""
    manifests = [
        {
            **described(MANIFEST, image.manifest),
            "platform": {"os": "linux", "architecture": image.architecture},
        }
        for image in images
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


async def _pieces(body: ClientBody | bytes | None) -> AsyncIterator[bytes]:
    if isinstance(body, ClientBody):
        async for piece in body.pieces():
            yield piece
    elif body:
        yield body


def _parts(name: str) -> tuple[str, str]:
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    repository, _, tag = name.rpartition(":")
    return repository, tag


def _references(document: dict[str, Any], held: _Held) -> Iterable[tuple[str, bool]]:
    """Yield the digests that a manifest or index names, and whether each of them is there."""
    for child in document.get("manifests", ()):
        yield child["digest"], child["digest"] in held.manifests
    for blob in [*filter(None, [document.get("config")]), *document.get("layers", ())]:
        yield blob["digest"], bool(blob.get("urls")) or blob["digest"] in held.blobs


def _subject(document: dict[str, Any]) -> str | None:
    digest = (document.get("subject") or {}).get("digest")
    return str(digest) if digest else None


def _is_of(content: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    known = algorithm in {"sha256", "sha512"}
    return known and hashlib.new(algorithm, content).hexdigest() == value


def _number(call: Call) -> str:
    return call.path.partition("?")[0].rpartition("/")[2]


def _origin(headers: CIMultiDict[str]) -> str:
    return f"{headers.get('X-Forwarded-Proto', 'http')}://{headers['Host']}"


def _named(digest: str) -> dict[str, str]:
    return {"Docker-Content-Digest": digest}


def _landed(status: int, headers: dict[str, str], body: bytes = b"") -> Landed:
    length = {} if status == 204 else {"Content-Length": str(len(body))}
    return Landed(status=status, headers=CIMultiDict({**headers, **length}), body=body)


def _refused(status: int, code: str, message: str, detail: str = "") -> Landed:
    error = {"code": code, "message": message, **({"detail": detail} if detail else {})}
    body = json.dumps({"errors": [error]}).encode()
    return _landed(status, {"Content-Type": "application/json"}, body)


def _no_upload() -> Landed:
    return _refused(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
