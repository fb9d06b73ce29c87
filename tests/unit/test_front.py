"""The front's arithmetic and its parsing of requests, on clocks that the tests set."""

import base64
import json
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.front import (
    WRITES,
    Auth,
    Behaviour,
    Bucket,
    Event,
    Faults,
    Match,
    Rule,
    Secondary,
    Step,
    User,
    Window,
    on,
)
from tests.support.front.answers import go_duration
from tests.support.front.auth import Doorkeeper
from tests.support.front.limits import (
    Pacer,
    SecondaryLimit,
    TagHistory,
    TokenBucket,
    WriteSlots,
    limit_at,
    strikes,
)
from tests.support.front.rules import RuleBook
from tests.support.front.steps import Call, classify

BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("request_line", "step", "repository", "reference"),
    [
        ("GET /v2/", Step.PING, "", ""),
        ("GET /token?service=x&scope=repository:a/b:pull", Step.TOKEN, "", ""),
        (f"HEAD /v2/a/b/blobs/{DIGEST}", Step.BLOB_HEAD, "a/b", DIGEST),
        (f"GET /v2/a/b/blobs/{DIGEST}", Step.BLOB_GET, "a/b", DIGEST),
        ("POST /v2/a/b/blobs/uploads/", Step.UPLOAD_POST, "a/b", ""),
        (f"POST /v2/a/blobs/uploads/?mount={DIGEST}&from=c/d", Step.UPLOAD_POST, "a", DIGEST),
        ("PATCH /v2/a/b/blobs/uploads/1f?_state=x", Step.UPLOAD_PATCH, "a/b", ""),
        (f"PUT /v2/a/blobs/uploads/1f?digest=sha256%3A{'a' * 64}", Step.UPLOAD_PUT, "a", DIGEST),
        ("GET /v2/a/b/blobs/uploads/1f", Step.UPLOAD_GET, "a/b", ""),
        ("DELETE /v2/a/b/blobs/uploads/1f", Step.UPLOAD_DELETE, "a/b", ""),
        ("HEAD /v2/a/b/manifests/v1", Step.MANIFEST_HEAD, "a/b", "v1"),
        ("PUT /v2/a/manifests/v1", Step.MANIFEST_PUT, "a", "v1"),
        ("GET /v2/a/manifests/manifests/v1", Step.MANIFEST_GET, "a/manifests", "v1"),
        ("DELETE /v2/a/manifests/v1", Step.MANIFEST_DELETE, "a", "v1"),
        ("GET /v2/a/b/tags/list?n=5", Step.TAGS_LIST, "a/b", ""),
        (f"GET /v2/a/referrers/{DIGEST}", Step.REFERRERS, "a", DIGEST),
        ("GET /v2/_catalog", Step.OTHER, "", ""),
    ],
)
def test_a_request_is_classified(
    request_line: str, step: Step, repository: str, reference: str
) -> None:
    call = classify(*request_line.split(" "))
    assert (call.step, call.repository, call.reference) == (step, repository, reference)


def test_mounts_are_read_from_the_query() -> None:
    assert classify("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}&from=c%2Fd").mount_from == "c/d"


def test_the_front_adds_nothing_by_default() -> None:
    assert Behaviour.model_validate_json("{}") == Behaviour()


def test_a_behaviour_survives_json() -> None:
    behaviour = Behaviour(
        max_writes=((0, 8), (30, 1)),
        bucket=Bucket(),
        secondary=Secondary(),
        rules=(
            Rule(
                match=Match(steps=WRITES, reference="v*"),
                window=Window(start=3),
                after=Event(steps=frozenset({Step.UPLOAD_PUT})),
            ),
        ),
        delays={Step.MANIFEST_PUT: 0.4},
    )
    assert Behaviour.model_validate_json(behaviour.model_dump_json()) == behaviour


def test_json_may_be_terse() -> None:
    behaviour = Behaviour.model_validate_json(
        '{"max_writes": 2, "rules": [{"match": {"steps": "WRITES"}, "answer": {"status": 502}}]}'
    )
    assert behaviour.max_writes == 2
    assert behaviour.rules[0].match.steps == WRITES


@pytest.mark.parametrize(
    "text",
    ['{"max_write": 2}', '{"max_writes": [[5, 1], [0, 2]]}', '{"faults": {"rate": 1.5}}'],
)
def test_a_senseless_behaviour_is_rejected(text: str) -> None:
    with pytest.raises(ValidationError):
        Behaviour.model_validate_json(text)


def test_a_schedule_holds_from_its_times_on() -> None:
    schedule = ((1.0, 8), (5.0, 1))
    assert (limit_at(None, 3), limit_at(4, 3)) == (None, 4)
    assert [limit_at(schedule, t) for t in (0.5, 1, 4.9, 5, 99)] == [None, 8, 8, 1, 1]


def test_faults_that_are_spread_evenly_keep_their_rate_in_every_short_run() -> None:
    drawn = strikes(Faults(rate=0.2, evenly=True), Random(0))
    runs = [tuple(islice(drawn, 5)) for _ in range(50)]
    assert all(sum(run) == 1 for run in runs)
    assert len(set(runs)) == 5, "the place is drawn"


def test_slots_are_never_more_than_the_limit() -> None:
    slots = WriteSlots()
    assert [slots.enter(2) for _ in range(3)] == [True, True, False]
    slots.leave()
    assert [slots.enter(2), slots.enter(1), slots.enter(None)] == [True, False, True]


@given(
    per_minute=st.floats(1, 10_000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 10), max_size=100),
)
def test_a_bucket_keeps_its_rate_and_an_honoured_wait_passes(
    per_minute: float, burst: int, gaps: list[float]
) -> None:
    bucket = TokenBucket(Bucket(per_minute=per_minute, burst=burst))
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        if wait:
            now += wait
            assert bucket.take(now) == 0
        passed += 1
    assert passed <= burst + now * per_minute / 60 + 1e-3


def test_a_bucket_names_the_wait_until_the_next_request_passes() -> None:
    bucket = TokenBucket(Bucket(per_minute=60, burst=2))
    assert [bucket.take(0), bucket.take(0), bucket.take(0.25)] == [0, 0, 0.75]


def test_a_secondary_limit_trips_on_manifest_puts_and_is_prolonged_by_writes() -> None:
    limit = SecondaryLimit(Secondary(writes=2, window=10, penalty=60))
    assert not limit.refuses(0, manifest_put=True)
    assert not limit.refuses(1, manifest_put=False)
    assert not limit.refuses(2, manifest_put=True)
    assert limit.refuses(3, manifest_put=True)
    assert limit.refuses(50, manifest_put=False)
    assert limit.refuses(109, manifest_put=True)
    assert not limit.refuses(169, manifest_put=True)


def test_a_secondary_limit_forgets_what_left_its_window() -> None:
    limit = SecondaryLimit(Secondary(writes=2, window=10))
    assert not any(limit.refuses(t, manifest_put=True) for t in range(0, 100, 5))


def test_a_lagging_tag_reads_as_it_was() -> None:
    history = TagHistory()
    history.wrote("t", old="", new="one", visible_at=5)
    history.wrote("t", old="one", new="two", visible_at=9)
    assert [history.read("t", t) for t in (0, 5, 8.9, 9, 10)] == ["", "one", "one", None, None]
    assert history.read("other", 0) is None


def test_a_pacer_keeps_its_rate_over_all_senders() -> None:
    pacer, now = Pacer(rate=1000), 0.0
    for _ in range(100):
        now += pacer.reserve(10, now)
    assert now == pytest.approx(1, abs=2 * Pacer.GRACE)


def test_a_token_expires() -> None:
    auth = Auth(mode="token", users={"me": User(password="secret")}, expires_in=60)
    keeper = Doorkeeper(auth, "http://front/token", lambda: "opaque")
    answer = keeper.token(classify("GET", "/token?scope=repository:a/b:pull"), BASIC, 100)
    assert json.loads(answer.body) == {"token": "opaque", "expires_in": 60}
    read = classify("GET", "/v2/a/b/tags/list")
    assert keeper.check(read, "Bearer opaque", 159.9) is None
    refused = keeper.check(read, "Bearer opaque", 160)
    assert refused is not None
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="http://front/token",service="ghcr.io",'
        'scope="repository:a/b:pull",error="invalid_token"'
    )


def _puts(book: RuleBook, *references: str, at: float = 0) -> list[bool]:
    return [
        book.choose(Call(step=Step.MANIFEST_PUT, method="PUT", path="", reference=r), at)
        is not None
        for r in references
    ]


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        (Rule(), [1, 1, 1, 1, 1, 1]),
        (Rule(first=2), [1, 1, 0, 0, 0, 0]),
        (Rule(skip=1, first=2), [0, 1, 1, 0, 0, 0]),
        (Rule(every=3), [0, 0, 1, 0, 0, 1]),
        (Rule(first=1, per="reference"), [1, 1, 0, 0, 1, 0]),
        (Rule(match=on(reference="b*")), [0, 1, 0, 1, 0, 0]),
        (Rule(match=on(Step.PING)), [0, 0, 0, 0, 0, 0]),
        (Rule(window=Window(start=1)), [0, 0, 0, 0, 0, 0]),
        (Rule(probability=0), [0, 0, 0, 0, 0, 0]),
    ],
)
def test_a_rule_chooses(rule: Rule, struck: list[int]) -> None:
    assert _puts(RuleBook([rule], Random(1)), "a", "b", "a", "b", "c", "a") == struck


def test_a_rule_waits_for_its_event() -> None:
    event = Event(steps=frozenset({Step.UPLOAD_PUT}), same_reference=True)
    book = RuleBook([Rule(match=on(Step.BLOB_HEAD), after=event)], Random(1))
    head = Call(step=Step.BLOB_HEAD, method="HEAD", path="", repository="a", reference="x")
    put = Call(step=Step.UPLOAD_PUT, method="PUT", path="", repository="a", reference="x")
    other = Call(step=Step.UPLOAD_PUT, method="PUT", path="", repository="a", reference="y")
    assert book.choose(head, 0) is None
    book.answered(put, 500)
    book.answered(other, 201)
    assert book.choose(head, 0) is None
    book.answered(put, 201)
    assert book.choose(head, 0) is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0125, "12.5ms"),
        (0.000012, "12µs"),
        (1.5, "1.5s"),
        (0.010305464, "10.305ms"),
        (61, "1m1s"),
    ],
)
def test_durations_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
