"""The referrers API: pages, and registries that have none."""

import json
from collections.abc import Sequence

import httpx2
import pytest
from tests.unit.test_registry_client import DIGEST, IMAGE, OTHER, Registry, evidence_of

from ghcr_push.model import Kind
from ghcr_push.references import Digest
from ghcr_push.registry.referrers import MOST_PAGES

pytestmark = pytest.mark.anyio

INDEX = "application/vnd.oci.image.index.v1+json"
FIRST, SECOND = (Digest(f"sha256:{letter * 64}") for letter in "cd")
PATH = f"/v2/acme/app/referrers/{OTHER}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def index(*digests: str) -> bytes:
    entries = [{"mediaType": "m", "digest": each, "size": 1} for each in digests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def paged(pages: Sequence[bytes], link: str = '<{path}?page={next}>; rel="next"') -> Registry:
    """Answer with one page after the other; all but the last link to the next."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        page = int(request.url.params.get("page", "0"))
        more = page + 1 < len(pages)
        named = {"Link": link.format(path=PATH, next=page + 1)} if more else {}
        headers = {"Content-Type": INDEX, **named}
        return httpx2.Response(200, content=pages[page], headers=headers)

    return Registry(answer)


@pytest.mark.parametrize(
    "link",
    [
        '<{path}?page={next}>; rel="next"',
        "<https://ghcr.io{path}?page={next}>;rel=next",
        '</v2/>; rel="start", <{path}?page={next}>; title="x"; rel="next"',
    ],
)
async def test_all_pages_are_read(link: str) -> None:
    registry = paged([index(FIRST, SECOND), index(), index(SECOND, DIGEST)], link)
    async with registry.client() as client:
        assert await client.referrers(IMAGE, OTHER) == (FIRST, SECOND, DIGEST)
    assert [request.url.path for request in registry.seen] == [PATH] * 3


@pytest.mark.parametrize("status", [400, 404, 405, 501])
async def test_a_registry_that_does_not_know_the_path_has_no_api(status: int) -> None:
    registry = Registry(lambda _: httpx2.Response(status, content=b"404 page not found"))
    async with registry.client() as client:
        assert await client.referrers(IMAGE, OTHER) is None
        assert await client.source_referrers(IMAGE, OTHER) is None


async def test_a_later_page_that_is_missing_is_an_error() -> None:
    first = paged([index(FIRST), index(SECOND)])

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404) if "page" in request.url.params else first.handler(request)

    async with Registry(answer).client() as client:
        evidence = await evidence_of(client.referrers(IMAGE, OTHER))
    assert evidence.status == 404


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"manifests": {}}', b'{"manifests": [1]}'])
async def test_a_page_for_people_is_no_list(body: bytes) -> None:
    async with Registry(lambda _: httpx2.Response(200, content=body)).client() as client:
        assert await client.referrers(IMAGE, OTHER) is None


async def test_an_empty_list_is_a_list() -> None:
    async with paged([index()]).client() as client:
        assert await client.referrers(IMAGE, OTHER) == ()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_refusal_does_not_mean_a_missing_api(status: int) -> None:
    registry = Registry(lambda _: httpx2.Response(status, content=b"{}"))
    async with registry.client() as client:
        assert (await evidence_of(client.referrers(IMAGE, OTHER))).status == status


async def test_no_page_is_fetched_elsewhere() -> None:
    registry = paged([index(FIRST), index()], '<https://evil.example{path}>; rel="next"')
    async with registry.client() as client:
        evidence = await evidence_of(client.referrers(IMAGE, OTHER))
    assert evidence.kind is Kind.UNSUPPORTED
    assert "evil.example" in evidence.message
    assert len(registry.seen) == 1


async def test_pages_without_end_come_to_one() -> None:
    registry = paged([index()] * (MOST_PAGES + 5))
    async with registry.client() as client:
        evidence = await evidence_of(client.referrers(IMAGE, OTHER))
    assert (evidence.kind, len(registry.seen)) == (Kind.UNSUPPORTED, MOST_PAGES)
