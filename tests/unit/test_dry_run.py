"""A dry run reads each tag, writes nothing, and reports how each tag would end."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Descriptor, Image, Kind, Manifest, Outcome, Source, TargetResult
from ghcr_push.planning.plan import build_plan
from ghcr_push.planning.settings import read_settings
from ghcr_push.pushing.dry_run import MOST_READ, DryRun
from ghcr_push.pushing.ports import Registry
from ghcr_push.references import Digest, Repository
from ghcr_push.reporting.build import build
from ghcr_push.reporting.terminal import terminal

OURS, OTHER = Digest(f"sha256:{'ab' * 32}"), Digest(f"sha256:{'cd' * 32}")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE = Image(id=OURS, layers=1, digest=OURS, has_all_platforms=True, in_engine=True)


@dataclass
class Tags:
    """A registry that only reads: what tags name, or why they cannot be read."""

    named: Mapping[str, Digest] = field(default_factory=dict)
    refusal: ErrorInfo | None = None
    config: str = ""
    asked: list[str] = field(default_factory=list)

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        self.asked.append(f"{repository}:{reference}")
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise PushError(self.refusal)
        digest = self.named.get(reference)
        return None if digest is None else Descriptor(MANIFEST, digest, 1)

    async def get(self, repository: Repository, reference: str) -> Manifest:  # noqa: ARG002 - the port's
        document = {"config": {"digest": self.config}, "layers": [{}]}
        return Manifest(MANIFEST, Digest(reference), json.dumps(document).encode())


def played(
    tags: Tags, *names: str, image: Image = IMAGE, **inputs: str
) -> tuple[tuple[TargetResult, ...], list[str]]:
    """Return the results and the notices of a dry run."""
    asked = {"tags": "\n".join(names), "image": "ghcr.io/acme/app", "source": "app"}
    asked |= {name.replace("_", "-"): value for name, value in inputs.items()}
    settings = read_settings(asked)
    notices: list[str] = []
    run = DryRun(
        build_plan(settings.targets),
        {Source("app"): image},
        cast("Registry", tags),
        settings,
        notices.append,
    )
    return asyncio.run(run.results()), notices


def test_tags_are_new_moved_or_unchanged() -> None:
    results, notices = played(Tags({"moved": OTHER, "same": OURS}), "new", "moved", "same")
    assert {result.outcome for result in results} == {Outcome.PLANNED}
    assert [result.before for result in results] == [None, OTHER, OURS]
    assert [result.digest for result in results] == [None, None, OURS]
    assert all(result.known_before for result in results)
    assert notices == []


def test_reads_of_a_dry_run_are_in_the_headline_and_for_each_tag() -> None:
    results, _ = played(Tags({"moved": OTHER, "same": OURS}), "new", "moved", "same")
    report = build(results, started_at="", duration=0.1, cancelled=False, max_parallel=4)
    assert terminal(report).splitlines() == [
        (
            "📝 Dry run: 2 of 3 tags would be pushed (1 new, 1 moved); 1 unchanged, "
            "nothing was written"
        ),
        "  … app → ghcr.io/acme/app:",
        "      new: new",
        "      moved from sha256:cdcdcdcdcdcd: moved",
        "      unchanged: same",
        "3 planned",
    ]


def test_an_image_of_the_classic_store_is_known_by_its_config() -> None:
    classic = Image(id=OURS, layers=1, in_engine=True)
    [same], _ = played(Tags({"1": OTHER}, config=OURS), "1", image=classic)
    assert same.digest == OTHER
    [moved], _ = played(Tags({"1": OTHER}, config=OTHER), "1", image=classic)
    assert moved.digest is None


def test_a_dry_run_says_how_a_protected_tag_would_end() -> None:
    tags = Tags({"v1": OTHER, "v2": OURS})
    [moved, same, new], _ = played(tags, "v1", "v2", "v3", protect="v*")
    assert {each.outcome for each in (moved, same, new)} == {Outcome.PLANNED}
    assert (moved.expected, moved.before, moved.failure) == (Outcome.FAILED, OTHER, None)
    assert (same.expected, new.expected) == (Outcome.UNCHANGED, Outcome.PUSHED)
    [kept, *_], _ = played(tags, "v1", "v2", "v3", protect="v*", on_protected="keep")
    assert (kept.outcome, kept.expected, kept.before) == (Outcome.PLANNED, Outcome.KEPT, OTHER)
    for result, fate in ((moved, "refused"), (kept, "kept")):
        report = build([result], started_at="", duration=0.1, cancelled=False, max_parallel=4)
        text = terminal(report)
        assert f"0 of 1 tag would be pushed; 1 protected and {fate}, nothing was written" in text
        assert f"protected, names sha256:cdcdcdcdcdcd, would be {fate}: v1" in text


def test_an_unreadable_repository_is_reported_once_and_is_no_failure() -> None:
    refusal = ErrorInfo(origin=Origin.REGISTRY, message="denied", status=403, code="DENIED")
    names = [str(number) for number in range(30)]
    results, [notice] = played(Tags(refusal=refusal), *names)
    assert {result.outcome for result in results} == {Outcome.PLANNED}
    assert not any(result.known_before for result in results)
    assert notice.startswith("ghcr.io/acme/app could not be read, ")
    assert "(403): denied. " in notice


def test_a_registry_that_does_not_answer_is_asked_no_more() -> None:
    silent = ErrorInfo(origin=Origin.REGISTRY, kind=Kind.NETWORK, message="refused")
    tags = Tags(refusal=silent)
    names = [f"ghcr.io/acme/{name}:1" for name in "abcdefghijklmnopqrstuvwxyz"]
    _, [notice] = played(tags, *names)
    assert notice.startswith("ghcr.io could not be read, ")
    assert len(tags.asked) < len(names)


def test_an_internal_error_costs_one_sentence() -> None:
    broken = cast("Tags", object())
    [result], [notice] = played(broken, "1")
    assert result.outcome is Outcome.PLANNED
    assert "internal" in notice


def test_only_the_first_tags_of_a_long_list_are_read() -> None:
    tags = Tags()
    results, [notice] = played(tags, *map(str, range(MOST_READ + 7)))
    assert len(tags.asked) == MOST_READ
    assert sum(result.known_before for result in results) == MOST_READ
    assert len(results) == MOST_READ + 7
    assert notice == f"Of {MOST_READ + 7} tags the first {MOST_READ} were read."
