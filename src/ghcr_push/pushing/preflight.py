"""Determines who reaches which registry: our process, or the engine alone.

A registry on the runner's ``localhost``, or behind a certificate that only the engine trusts,
answers the engine but not a container beside it. Nothing else is a reason to use docker push: not a
reset connection, not a slow answer, not a registry that is down for both.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

from ghcr_push.background import background
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.pushing.ports import TagReader
from ghcr_push.pushing.pressure.reachability import NO_ANSWER
from ghcr_push.references import Repository

PAUSES: Final = (0.0, 0.5, 1.0)
"""Seconds before each further request if the first one got no answer."""

ASK_LIMIT: Final = 12.0
"""Time limit of one request in seconds. A host that connects (within 10 s) and then takes longer is
slow, not absent."""

WITHIN: Final = 30.0
"""Seconds after which the available answers decide."""

LAST_WAIT: Final = 0.5
"""Seconds that a run that ends early waits for a registry's first answer."""

DOUBT_PAUSES: Final = (5.0, 10.0, 15.0, 15.0, 40.0, 60.0)
"""Seconds between two decisions on a registry that still does not answer us.

Four of them come before a registry without a connection is given up (``pressure.reachability``).
"""

NO_WORD_OF_IT: Final = NO_ANSWER | {
    Kind.ENGINE_UNREACHABLE,
    Kind.ENGINE_RESTARTING,
    Kind.ENGINE_REFUSED,
    Kind.ENGINE_ERROR,
    Kind.UNKNOWN,
    Kind.INTERNAL,
}
"""Failures of a request to the engine that do not show that it reaches the registry."""


class Reach:
    """The registries known to be reached by the engine alone. Makes no request."""

    def __init__(self) -> None:
        self._only_engine: set[str] = set()
        self._undecided: dict[str, anyio.Event] = {}
        self._doubted: dict[str, anyio.Event] = {}
        self._direct_work: dict[str, set[anyio.CancelScope]] = {}

    def only_engine(self, registry: str) -> bool:
        """Return whether the engine reaches ``registry`` and our process does not."""
        return registry in self._only_engine

    async def decided(self, registry: str) -> None:
        """Wait until it is known who reaches ``registry``, if a check is running."""
        if registry in self._undecided:
            await self._undecided[registry].wait()

    def doubt(self, registry: str) -> None:
        """Record that ``registry`` did not answer our process, so that the check is repeated."""
        if registry in self._doubted:
            self._doubted[registry].set()

    @contextmanager
    def direct_work(self, registry: str) -> Iterator[None]:
        """Cancel the block as soon as it is known that only the engine reaches ``registry``."""
        scopes = self._direct_work.setdefault(registry, set())
        with anyio.CancelScope() as scope:
            scopes.add(scope)
            try:
                yield
            finally:
                scopes.discard(scope)

    # -- for the check ------------------------------------------------------------------------

    def ask(self, registry: str) -> None:
        """Make ``decided`` wait for ``decide``."""
        self._undecided[registry] = anyio.Event()

    def decide(self, registry: str, *, only_engine: bool) -> None:
        """Record who reaches ``registry``; cancel direct work if it cannot succeed."""
        self._undecided[registry].set()
        if only_engine:
            self._only_engine.add(registry)
            for scope in self._direct_work.get(registry, ()):
                scope.cancel()

    async def doubts(self, registry: str) -> None:
        """Wait until ``registry`` has again failed to answer our process."""
        self._doubted[registry] = anyio.Event()
        await self._doubted[registry].wait()


class Preflight:
    """Checks who reaches each registry, in parallel; ``reach`` keeps the answers.

    ``repositories`` are those of the run, ``ours`` asks from our process and ``engine`` through the
    engine. ``notice`` gets the findings.
    """

    def __init__(
        self,
        reach: Reach,
        repositories: Iterable[Repository],
        *,
        ours: TagReader,
        engine: TagReader,
        notice: Callable[[str], None],
    ) -> None:
        self._reach = reach
        self._firsts = {each.registry: each for each in reversed(list(repositories))}
        self._ours = ours
        self._engine = engine
        self._notice = notice

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Check while the block runs; the block's errors pass unchanged."""
        for registry in self._firsts:
            self._reach.ask(registry)
        async with background() as tasks:
            for repository in self._firsts.values():
                tasks.start_soon(self._follow, repository)
            yield
            # a connection that is cancelled while it is made may leave its socket open
            with anyio.move_on_after(LAST_WAIT):
                for registry in self._firsts:
                    await self._reach.decided(registry)

    async def _follow(self, repository: Repository) -> None:
        """Decide now, and again each time that the registry does not answer our process."""
        registry = repository.registry
        waits = iter(DOUBT_PAUSES)
        while not await self._is_only_engine_s(repository):
            self._reach.decide(registry, only_engine=False)
            await self._reach.doubts(registry)
            await anyio.sleep(next(waits, DOUBT_PAUSES[-1]))
        self._notice(
            f"{registry} can be reached from the Docker Engine but not from this process: its "
            "tags are pushed by docker push and read back by the engine"
        )
        self._reach.decide(registry, only_engine=True)

    async def _is_only_engine_s(self, repository: Repository) -> bool:
        """Return whether only the engine gets an answer, each time that both ask."""
        shown = False
        with anyio.move_on_after(WITHIN):
            if await self._answers_us(repository):
                return False
            for pause in PAUSES:
                await anyio.sleep(pause)
                shown = await self._answers_only_engine(repository)
                if not shown:
                    break
        return shown

    async def _answers_only_engine(self, repository: Repository) -> bool:
        """Ask from both at the same moment, so that an outage affects both."""
        engine = False

        async def ask_engine() -> None:
            nonlocal engine
            engine = await _answered(self._engine, repository, NO_WORD_OF_IT)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_engine)
            ours = await self._answers_us(repository)
            if ours:
                tasks.cancel_scope.cancel()
        return engine and not ours

    async def _answers_us(self, repository: Repository) -> bool:
        return await _answered(self._ours, repository, NO_ANSWER)


async def _answered(port: TagReader, repository: Repository, silent: frozenset[Kind]) -> bool:
    """Return whether any answer, even a refusal, comes from the registry through ``port``.

    A slow answer or an internal error is inconclusive: then our process keeps pushing.
    """
    try:
        with anyio.fail_after(ASK_LIMIT):
            await port.head(repository, "latest")
    except PushError as error:
        return classify(error.evidence).kind not in silent
    except Exception:  # noqa: BLE001 - the next request will report it
        return silent is NO_ANSWER
    return True
