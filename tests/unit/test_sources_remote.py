"""The manifests of a source in a registry: fetched in parallel, bounded in number and size."""

import json
from collections.abc import AsyncGenerator, Sequence
from random import Random

import anyio.lowlevel
import pytest
from tests.support.saved import INDEX

from ghcr_push.failures import PushError
from ghcr_push.model import Kind, Manifest
from ghcr_push.planning.locations import RegistryLocation
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.references import Digest, Repository, is_digest
from ghcr_push.sources.remote import (
    ASKED_AT_ONCE,
    MOST_BYTES,
    MOST_MANIFESTS,
    RegistrySources,
)

pytestmark = pytest.mark.anyio

REPOSITORY = Repository("ghcr.io", "acme/app")
ONCE = Backoff(initial=0, maximum=0, max_attempts=1, random=Random(1))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Held:
    """A registry that holds an index and its children."""

    def __init__(self, *children: Manifest) -> None:
        self.top = index([entry(each) for each in children])
        self.asked = self.peak = 0
        self._asking = 0
        self._by_digest = {each.digest: each for each in children}

    async def source_manifest(self, _: Repository, reference: str) -> Manifest:
        self.asked += 1
        self._asking += 1
        self.peak = max(self.peak, self._asking)
        await anyio.lowlevel.checkpoint()
        self._asking -= 1
        return self._by_digest[Digest(reference)] if is_digest(reference) else self.top

    def source_blob(
        self, repository: Repository, digest: Digest, start: int, size: int
    ) -> AsyncGenerator[bytes]:
        raise NotImplementedError

    async def source_referrers(self, _: Repository, _subject: Digest) -> Sequence[Digest] | None:
        return None


def entry(child: Manifest) -> dict[str, object]:
    return {"mediaType": child.media_type, "digest": child.digest, "size": len(child.raw)}


def index(entries: Sequence[object], *, padding: str = "") -> Manifest:
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return Manifest.of(INDEX, json.dumps({**document, "padding": padding}).encode())


@pytest.mark.parametrize(
    ("number", "size", "reason"),
    [
        (MOST_MANIFESTS + 20, 4, f"more than {MOST_MANIFESTS:,} manifests"),
        (30, 4_000_000, f"more than {MOST_BYTES:,} bytes of manifests"),
    ],
)
async def test_an_index_that_leads_to_too_much_is_refused_before_all_is_fetched(
    number: int, size: int, reason: str
) -> None:
    held = Held(*(index([], padding=f"{each:0{size}}") for each in range(number)))
    with pytest.raises(PushError, match=reason) as raised:
        await RegistrySources(held, ONCE, None).find(RegistryLocation(REPOSITORY, "1"))
    assert raised.value.evidence.kind is Kind.SOURCE_INVALID
    assert held.asked <= number


async def test_the_children_of_indexes_are_fetched_once_each_some_at_a_time() -> None:
    leaves = [index([], padding=str(number)) for number in range(20)]
    inner = [index([entry(leaf) for leaf in leaves[start:]]) for start in (0, 5)]
    held = Held(*inner, *leaves)
    held.top = index([entry(each) for each in (*inner, leaves[0])])
    content = await RegistrySources(held, ONCE, None).find(RegistryLocation(REPOSITORY, "1"))
    assert {each.digest for each in content.saved.manifests} == {
        each.digest for each in (*inner, *leaves, held.top)
    }
    assert held.asked == 1 + len(inner) + len(leaves)
    assert held.peak == ASKED_AT_ONCE > 1
