"""Settings to groups: every target once, in order, with joined groups for equal image IDs."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.model import Plan, Source, Target
from ghcr_push.planning.plan import build_plan, unresolved
from ghcr_push.planning.settings import read_settings

A, B = "ghcr.io/acme/a", "ghcr.io/acme/b"

# few names, so that they repeat
ENTRIES = st.lists(
    st.builds(
        "{} => ghcr.io/acme/{}:{}".format,
        st.sampled_from(["one", "two", "three", "four"]),
        st.sampled_from("ab"),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=30,
)
IDS = st.dictionaries(
    st.sampled_from(["one", "two", "three", "four"]).map(Source), st.sampled_from(["x", "y"])
)


def plan_of(tags: str, **inputs: str) -> Plan:
    return build_plan(read_settings({"tags": tags} | inputs).targets)


def shape(plan: Plan) -> list[tuple[str, str, list[str]]]:
    return [
        (str(group.source), str(group.repository), [each.reference.tag for each in group.targets])
        for group in plan.groups
    ]


def test_targets_of_one_source_in_one_repository_are_a_group() -> None:
    plan = plan_of(f"{A}:1\n{B}:1\nother => {A}:3\n{A}:2\n{B}:2", source="app")
    assert shape(plan) == [
        ("app", A, ["1", "2"]),
        ("app", B, ["1", "2"]),
        ("other", A, ["3"]),
    ]


def test_targets_that_are_their_own_sources_are_groups_of_their_own() -> None:
    assert shape(plan_of(f"{A}:1\n{A}:2")) == [(f"{A}:1", A, ["1"]), (f"{A}:2", A, ["2"])]


def test_groups_of_the_same_image_are_joined_in_their_repository() -> None:
    plan = plan_of(f"{A}:1\n{B}:1\n{A}:2\n{A}:3\n{A}:4")
    ids = {Source(f"{A}:{tag}"): image for tag, image in (("1", "x"), ("2", "y"), ("3", "x"))}
    assert shape(build_plan(plan.targets, ids | {Source(f"{B}:1"): "x"})) == [
        (f"{A}:1", A, ["1", "3"]),
        (f"{B}:1", B, ["1"]),
        (f"{A}:2", A, ["2"]),
        (f"{A}:4", A, ["4"]),
    ]


def test_a_joined_target_keeps_the_source_that_it_was_given() -> None:
    plan = plan_of(f"{A}:1\n{A}:2")
    joined = build_plan(plan.targets, {Source(f"{A}:1"): "x", Source(f"{A}:2"): "x"})
    assert joined.targets == plan.targets


@given(entries=ENTRIES, ids=IDS)
def test_every_target_is_in_exactly_one_group_and_no_two_groups_are_alike(
    entries: list[str], ids: dict[Source, str]
) -> None:
    settings = read_settings({"tags": "\n".join(entries)})
    plan = build_plan(settings.targets)
    joined = build_plan(plan.targets, ids)
    for each in (plan, joined):
        assert Counter(each.targets) == Counter(settings.targets)
        assert all(group.targets[0].source == group.source for group in each.groups)
        assert all(t.reference.repository == g.repository for g in each.groups for t in g.targets)
        for group in each.groups:
            kept = [target for target in settings.targets if target in group.targets]
            assert len(kept) == len(group.targets)

    def image(target: Target) -> object:
        return ids.get(target.source, target.source)

    keys = [(group.repository, image(group.targets[0])) for group in joined.groups]
    assert len(set(keys)) == len(keys)
    assert all(len({image(target) for target in group.targets}) == 1 for group in joined.groups)
    assert build_plan(joined.targets, ids) == joined
    assert build_plan(plan.targets, {}) == plan


@given(entries=ENTRIES)
def test_targets_of_a_group_keep_the_order_they_were_asked_for_in(entries: list[str]) -> None:
    settings = read_settings({"tags": "\n".join(entries)})
    place = {target: number for number, target in enumerate(settings.targets)}
    plan = build_plan(settings.targets)
    seeds = [place[group.targets[0]] for group in plan.groups]
    assert seeds == sorted(seeds)
    for group in plan.groups:
        places = [place[target] for target in group.targets]
        assert places == sorted(places)


def test_an_empty_plan_is_a_plan() -> None:
    assert plan_of("", **{"allow-empty": "true"}).groups == ()


def test_several_sources_are_fine_where_the_engine_knows_them_as_one_image() -> None:
    conflicts = read_settings({"tags": f"one => {A}:1, two => {A}:1"}).conflicts
    assert unresolved(conflicts, {Source("one"): "x", Source("two"): "x"}) == ()


def test_several_sources_are_a_problem_where_they_differ_or_one_is_missing() -> None:
    conflicts = read_settings({"tags": f"one => {A}:1, two => {A}:1, two => {A}:2"}).conflicts
    for ids in ({Source("one"): "x", Source("two"): "y"}, {Source("one"): "x"}, {}):
        (problem,) = unresolved(conflicts, ids)
        assert (problem.input, problem.value) == ("tags", f"{A}:1")
        assert "'one' and 'two'" in str(problem)


def test_ten_thousand_targets_are_planned() -> None:
    plan = plan_of("\n".join(f"s{n % 7} => {A}-{n % 50}:{n}" for n in range(10_000)))
    assert len(plan.targets) == 10_000
    assert len(plan.groups) == 350
    assert len(build_plan(plan.targets, {Source(f"s{n}"): "x" for n in range(7)}).groups) == 50
