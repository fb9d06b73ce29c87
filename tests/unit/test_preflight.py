"""Who reaches which registry: asked in parallel, repeatedly, and again in doubt."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import pytest
import trio
from trio.testing import MockClock

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Descriptor, Kind
from ghcr_push.pushing.preflight import ASK_LIMIT, WITHIN, Preflight, Reach
from ghcr_push.references import Repository

GHCR = Repository("ghcr.io", "acme/app")
LOCAL = Repository("localhost:5000", "acme/app")

Answer = Exception | float | None
"""The answer to a request: an error, so many seconds of silence, or a success."""


def refused(kind: Kind = Kind.NETWORK, origin: Origin = Origin.REGISTRY) -> PushError:
    return PushError(ErrorInfo(origin=origin, kind=kind, message="connection refused"))


@dataclass
class Asker:
    """Gives each registry's answers in turn, then repeats the last one."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        assert reference
        self.asked.append((repository.registry, anyio.current_time()))
        answers = self.answers.get(repository.registry, [None])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            await anyio.sleep(answer)
        return None

    def count(self, repository: Repository) -> int:
        return sum(registry == repository.registry for registry, _ in self.asked)


@dataclass
class Scene:
    ours: Asker
    engine: Asker
    reach: Reach = field(default_factory=Reach)
    notices: list[str] = field(default_factory=list)

    def play(self, block: Callable[[], Awaitable[None]], *repositories: Repository) -> None:
        preflight = Preflight(
            self.reach,
            repositories,
            ours=self.ours,
            engine=self.engine,
            notice=self.notices.append,
        )

        async def run() -> None:
            async with preflight.asking():
                await block()

        trio.run(run, clock=MockClock(autojump_threshold=0))


def scene(ours: list[Answer], engine: list[Answer] | None = None) -> Scene:
    """Return a scene in which ``localhost:5000`` answers so, and all others at once."""
    return Scene(Asker({LOCAL.registry: ours}), Asker({LOCAL.registry: engine or [None]}))


def decide(played: Scene, *repositories: Repository) -> tuple[bool, float]:
    """Return whether only the engine reaches ``localhost:5000``, and when that was known."""
    seconds = float("inf")

    async def block() -> None:
        nonlocal seconds
        began = anyio.current_time()
        await played.reach.decided(LOCAL.registry)
        seconds = anyio.current_time() - began

    played.play(block, *(repositories or (LOCAL,)))
    return played.reach.only_engine(LOCAL.registry), seconds


def test_an_answer_is_enough_and_the_engine_is_not_asked() -> None:
    played = scene([None])
    assert decide(played) == (False, 0.0)
    assert (played.ours.count(LOCAL), played.engine.count(LOCAL)) == (1, 0)
    assert played.notices == []


@pytest.mark.parametrize("resets", [1, 2, 3])
@pytest.mark.parametrize("kind", [Kind.NETWORK, Kind.TIMEOUT, Kind.HOST_UNKNOWN, Kind.CERTIFICATE])
def test_connections_that_break_at_first_change_nothing(resets: int, kind: Kind) -> None:
    played = scene([*[refused(kind)] * resets, None])
    only_engine, seconds = decide(played)
    assert not only_engine
    assert seconds < 2
    assert played.notices == []


@pytest.mark.parametrize(
    "kind", [Kind.DENIED, Kind.UNAUTHORIZED, Kind.SERVER_ERROR, Kind.THROTTLED, Kind.NOT_FOUND]
)
def test_a_refusal_is_an_answer(kind: Kind) -> None:
    assert decide(scene([refused(kind)])) == (False, 0.0)


@pytest.mark.parametrize("kind", [Kind.NETWORK, Kind.TIMEOUT, Kind.HOST_UNKNOWN, Kind.CERTIFICATE])
@pytest.mark.parametrize("answer", [None, refused(Kind.UNAUTHORIZED)], ids=["well", "refusal"])
def test_a_registry_that_only_the_engine_reaches_is_found_and_reported_once(
    kind: Kind, answer: Answer
) -> None:
    played = scene([refused(kind)], [answer])
    only_engine, seconds = decide(played)
    assert only_engine
    assert seconds < 3
    assert played.ours.count(LOCAL) > 3
    [notice] = played.notices
    assert notice.startswith("localhost:5000 can be reached from the Docker Engine but not")


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_an_outage_during_the_run_differs_from_an_unreachable_registry(
    answered: int,
) -> None:
    assert not decide(scene([refused()], [*[None] * answered, refused()]))[0]


@pytest.mark.parametrize(
    "engine",
    [
        refused(Kind.NETWORK),
        refused(Kind.ENGINE_UNREACHABLE, Origin.ENGINE),
        PushError(ErrorInfo(origin=Origin.ENGINE, message="page not found")),
        KeyError("Descriptor"),
        3600.0,
    ],
    ids=["cannot either", "no engine", "cannot say", "a bug", "silent"],
)
def test_a_registry_that_the_engine_may_not_reach_is_pushed_to_directly(engine: Answer) -> None:
    only_engine, seconds = decide(scene([refused()], [engine]))
    assert seconds <= WITHIN
    assert not only_engine


def test_a_slow_answer_is_an_answer() -> None:
    only_engine, seconds = decide(scene([3600.0]))
    assert not only_engine
    assert seconds <= ASK_LIMIT


def test_connections_that_take_their_time_to_fail_do_not_hold_up_for_long() -> None:
    class Slow(Asker):
        async def head(self, repository: Repository, reference: str) -> Descriptor | None:
            await anyio.sleep(10)
            return await super().head(repository, reference)

    played = Scene(Slow({LOCAL.registry: [refused(Kind.TIMEOUT)]}), Asker())
    assert decide(played) == (True, WITHIN)


def test_an_internal_error_decides_nothing() -> None:
    assert decide(scene([KeyError("x")])) == (False, 0.0)


def test_registries_are_asked_in_parallel() -> None:
    dead = [Repository(f"dead{number}.example", "acme/app") for number in range(8)]
    played = scene([None])
    played.ours.answers |= {each.registry: [3600.0] for each in dead}

    assert decide(played, *dead, LOCAL) == (False, 0.0)


def test_each_registry_is_asked_once_however_many_repositories_are_in_it() -> None:
    played = scene([None])
    decide(played, LOCAL, Repository(LOCAL.registry, "acme/other"))
    assert played.ours.count(LOCAL) == 1


def test_an_error_of_the_block_is_raised_unchanged() -> None:
    async def block() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        scene([None]).play(block, LOCAL)


# -- in doubt ---------------------------------------------------------------------------------


def test_a_registry_that_comes_up_for_the_engine_alone_is_found_at_the_next_doubt() -> None:
    """It is unreachable at first; direct work ends as soon as it is known to be useless."""
    played = scene([refused()], [refused(), None])
    cut_off_after = 0.0

    async def block() -> None:
        nonlocal cut_off_after
        await played.reach.decided(LOCAL.registry)
        began = anyio.current_time()
        with played.reach.direct_work(LOCAL.registry):
            played.reach.doubt(LOCAL.registry)
            await anyio.sleep(3600)
        cut_off_after = anyio.current_time() - began

    played.play(block, LOCAL)
    assert played.reach.only_engine(LOCAL.registry)
    assert 0 < cut_off_after < 15
    assert len(played.notices) == 1


def test_without_a_doubt_the_check_is_not_repeated() -> None:
    played = scene([refused()], [refused()])

    async def block() -> None:
        await anyio.sleep(3600)

    played.play(block, LOCAL)
    asked = played.ours.count(LOCAL)
    assert asked <= 4
    assert played.engine.count(LOCAL) == 1


def test_repeated_doubts_are_checked_less_often() -> None:
    played = scene([refused()], [refused()])

    async def block() -> None:
        for _ in range(3600):
            played.reach.doubt(LOCAL.registry)
            await anyio.sleep(1)

    played.play(block, LOCAL)
    assert 50 < played.engine.count(LOCAL) < 70


def test_work_on_a_registry_that_our_process_reaches_is_not_cancelled() -> None:
    played = scene([refused(), None])
    done = False

    async def block() -> None:
        nonlocal done
        await played.reach.decided(LOCAL.registry)
        with played.reach.direct_work(LOCAL.registry):
            played.reach.doubt(LOCAL.registry)
            await anyio.sleep(100)
            done = True

    played.play(block, LOCAL)
    assert done
    assert played.notices == []
