"""The manifests of an index: read before they are sent, and sent in parallel."""

from itertools import pairwise
from pathlib import Path

from tests.support.cases import running_world
from tests.support.front import Behaviour, Entry, Step
from tests.support.layouts import platforms

SLOW = Behaviour(delays={Step.MANIFEST_PUT: 0.3})


def overlap(entries: list[Entry]) -> bool:
    """Return whether any request began before another had ended."""
    times = sorted((each.t, each.t + each.seconds) for each in entries)
    return any(ends > begins for (_, ends), (begins, _) in pairwise(times))


def test_children_are_looked_for_and_missing_ones_are_sent_in_parallel(tmp_path: Path) -> None:
    made, digests, _ = platforms()
    source = f"oci-layout:{made.written(tmp_path / 'layout')}:multi"
    with running_world(tmp_path, SLOW) as world:
        first = world.push("acme/app:1", source=source)
        assert first.outcomes == {"acme/app:1": "pushed"}, first.log
        for digest in digests.values():
            [asked, *_] = world.requests(Step.MANIFEST_HEAD, reference=digest)
            [sent] = world.requests(Step.MANIFEST_PUT, reference=digest)
            assert asked.t < sent.t
        children = world.requests(Step.MANIFEST_PUT, reference="sha256:*")
        assert len(children) == len(digests) + 1, "and the attestation"
        assert overlap(children)
        again = world.push("acme/app:2", source=source)
        assert again.outcomes == {"acme/app:2": "pushed"}
        assert world.requests(Step.MANIFEST_PUT, reference="sha256:*") == children
