"""The manifests of a source in a registry are bounded in number and size."""

import json
from collections.abc import AsyncGenerator, Sequence
from random import Random

import pytest
from tests.support.saved import INDEX

from ghcr_push.failures import PushError
from ghcr_push.model import Kind, Manifest
from ghcr_push.planning.locations import RegistryLocation
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.references import Digest, Repository, is_digest
from ghcr_push.sources.remote import MOST_BYTES, MOST_MANIFESTS, RegistrySources

pytestmark = pytest.mark.anyio

REPOSITORY = Repository("ghcr.io", "acme/app")
ONCE = Backoff(initial=0, maximum=0, max_attempts=1, random=Random(1))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Held:
    """A registry that holds an index and its children."""

    def __init__(self, *children: Manifest) -> None:
        entries = [
            {"mediaType": each.media_type, "digest": each.digest, "size": len(each.raw)}
            for each in children
        ]
        self.top = index(entries)
        self.asked = 0
        self._by_digest = {each.digest: each for each in children}

    async def source_manifest(self, _: Repository, reference: str) -> Manifest:
        self.asked += 1
        return self._by_digest[Digest(reference)] if is_digest(reference) else self.top

    def source_blob(
        self, repository: Repository, digest: Digest, start: int, size: int
    ) -> AsyncGenerator[bytes]:
        raise NotImplementedError

    async def source_referrers(self, _: Repository, _subject: Digest) -> Sequence[Digest] | None:
        return None


def index(entries: Sequence[object], *, padding: str = "") -> Manifest:
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return Manifest.of(INDEX, json.dumps({**document, "padding": padding}).encode())


@pytest.mark.parametrize(
    ("number", "size", "reason"),
    [
        (MOST_MANIFESTS + 1, 4, f"more than {MOST_MANIFESTS:,} manifests"),
        (20, 4_000_000, f"more than {MOST_BYTES:,} bytes of manifests"),
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
