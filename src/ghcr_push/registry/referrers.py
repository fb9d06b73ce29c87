"""A manifest's referrers, from the referrers API of distribution-spec 1.1."""

import re
from dataclasses import replace
from typing import Final

import httpx2

from ghcr_push import media_types
from ghcr_push.documents import json_object
from ghcr_push.model import LARGEST_MANIFEST, Kind
from ghcr_push.references import Digest, Repository, is_digest
from ghcr_push.registry.errors import failure
from ghcr_push.registry.http import ApiResponse
from ghcr_push.registry.session import ApiRequest, Session

MOST_PAGES: Final = 100
"""Maximum number of pages read of one list."""

_UNKNOWN: Final = frozenset({400, 404, 405, 406, 501})
"""Besides 404, which the specification names, servers' answers to an unknown path."""

_NEXT: Final = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next\b')


async def referrers(
    session: Session, repository: Repository, subject: Digest, scope: str | None = None
) -> tuple[Digest, ...] | None:
    """Return the digests of the referrers of ``subject``, from all pages; None without the API."""
    request = ApiRequest(
        method="GET",
        repository=repository,
        path=f"referrers/{subject}",
        headers={"Accept": media_types.INDEX},
        most=LARGEST_MANIFEST,
        scope=scope,
    )
    listed: list[Digest] = []
    for page in range(MOST_PAGES):
        answer = await session.send(request)
        if page == 0 and answer.status in _UNKNOWN:
            return None
        session.expect(answer, {httpx2.codes.OK})
        found = _digests(answer)
        if found is None and page == 0:
            return None  # an HTML page, or another API under that path
        listed += found or ()
        following = _next(answer)
        if following is None:
            return tuple(dict.fromkeys(listed))
        request = replace(request, location=following)
    raise failure(
        f"{answer.request}: more than {MOST_PAGES} pages of referrers", Kind.UNSUPPORTED, None
    )


def _digests(answer: ApiResponse) -> tuple[Digest, ...] | None:
    """Parse an index; None if the answer is not one."""
    entries = (json_object(answer.body) or {}).get("manifests")
    if not isinstance(entries, list):
        return None
    try:
        digests = [str(entry["digest"]) for entry in entries]
    except (KeyError, TypeError):
        return None
    return tuple(Digest(digest) for digest in digests if is_digest(digest))


def _next(answer: ApiResponse) -> httpx2.URL | None:
    """Return the URL of the next page (RFC 8288), on the registry's own origin only."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    if match is None:
        return None
    try:
        url = answer.url.join(match[1])
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.origin != answer.url.origin:
        raise failure(
            f"{answer.request}: the next page is said to be elsewhere, at {url.host or 'nowhere'}",
            Kind.UNSUPPORTED,
            answer.status,
        )
    return url
