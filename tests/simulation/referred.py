"""Runs of images with signatures, and the promises for them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ghcr_push.model import Descriptor, Group, Manifest, Outcome, Referrer, Referrers
from ghcr_push.references import Digest, Repository, TagReference, referrers_tag
from tests.simulation.evidence import HAIR, Check
from tests.simulation.play import Played
from tests.simulation.records import Request
from tests.simulation.scenario import DIRECT, Content, Scenario, digest_of, referring_to, scenario
from tests.simulation.world import MANIFEST

REFUSED = 0.2
"""Share of referrers that every registry refuses."""


def referred(seed: int) -> Scenario:
    """Add one or two signatures to each image whose digest is known beforehand."""
    made, random = scenario(DIRECT + seed), Random(seed + 9)
    images, contents, refused = dict(made.images), dict(made.transfer.contents), set[Digest]()
    seconds, sizes = dict(made.transfer.seconds), dict(made.transfer.sizes)
    for source, image in sorted(made.images.items()):
        if image is None or image.digest is None:
            continue
        first = 50_000 + 10 * int(source.image)
        found = tuple(
            _referrer(image.digest, digest_of(first + number), digest_of(first + 1000 + number))
            for number in range(random.choice((1, 2)))
        )
        blobs = tuple(blob.digest for each in found for blob in each.blobs)
        contents[referring_to(source)] = Content(blobs=blobs)
        seconds |= dict.fromkeys(blobs, 0.1)
        sizes |= dict.fromkeys(blobs, 100)
        refused |= {each.manifest.digest for each in found if random.random() < REFUSED}
        images[source] = replace(image, in_engine=False, referrers=Referrers(found))
    return replace(
        made,
        images=images,
        transfer=replace(made.transfer, contents=contents, seconds=seconds, sizes=sizes),
        lists_referrers=frozenset(name for name in made.conditions if random.random() < 0.5),
        refused_manifests=frozenset(refused),
    )


def _referrer(subject: Digest, digest: Digest, blob: Digest) -> Referrer:
    document = {"subject": {"digest": subject}, "layers": [{"digest": blob}]}
    manifest = Manifest(MANIFEST, digest, json.dumps(document).encode())
    return Referrer(subject, manifest, blobs=(Descriptor("application/x", blob, 100),))


def _referrers(played: Played, group: Group) -> tuple[Referrer, ...]:
    image = played.scenario.images[group.source]
    return image.referrers.found if image else ()


def _tag_writes(played: Played, group: Group) -> list[Request]:
    tags = {target.reference.tag for target in group.targets}
    return [
        request
        for request in played.log
        if request.operation == "put"
        and request.repository == group.repository
        and tags.intersection(request.tags)
    ]


def _held(played: Played, repository: Repository, digest: Digest, at: float) -> bool:
    return played.world.parts.get((repository, digest), float("inf")) <= at + HAIR


def _listed(played: Played, repository: Repository, subject: Digest, at: float) -> set[str]:
    """Return what the tag listed that replaces the referrers API."""
    history = played.world.history.get(TagReference(repository, referrers_tag(subject)), [])
    there = [version.digest for version in history if version.at <= at + HAIR]
    index = json.loads(played.world._manifest(there[-1]).raw) if there else {"manifests": []}
    return {entry["digest"] for entry in index["manifests"]}


def tags_move_after_referrers(played: Played) -> Iterator[str]:
    """All referrers of an image are in its repository, and listed, before a tag names it."""
    for group in played.scenario.plan.groups:
        for write in _tag_writes(played, group):
            for each in _referrers(played, group):
                digest = each.manifest.digest
                if not _held(played, group.repository, digest, write.began):
                    yield f"{write.tags} was written before {digest}"
                own = group.repository.registry in played.scenario.lists_referrers
                listed = own or _listed(played, group.repository, each.subject, write.began)
                if listed is not True and digest not in listed:
                    yield f"{write.tags} was written before {digest} was listed"


def referrers_go_up_after_layers(played: Played) -> Iterator[str]:
    for group in played.scenario.plan.groups:
        found = {each.manifest.digest for each in _referrers(played, group)}
        for request in played.log:
            if request.repository != group.repository or request.digest not in found:
                continue
            for part in played.scenario.transfer.contents[group.source].parts:
                if not _held(played, group.repository, part, request.began):
                    yield f"{request.digest} was written before {part} of its image"


def a_refused_referrer_fails_its_group(played: Played) -> Iterator[str]:
    outcomes = {result.target: result.outcome for result in played.results}
    for group in played.scenario.plan.groups:
        found = {each.manifest.digest for each in _referrers(played, group)}
        if not found & played.scenario.refused_manifests:
            continue
        if _tag_writes(played, group):
            yield f"a tag of {group.repository} was written without its signatures"
        for target in group.targets:
            if outcomes[target] not in {Outcome.FAILED, Outcome.SKIPPED, Outcome.KEPT}:
                yield f"{target} is {outcomes[target]} without its signatures"


REFERRER_CHECKS: tuple[Check, ...] = (
    tags_move_after_referrers,
    referrers_go_up_after_layers,
    a_refused_referrer_fails_its_group,
)
