"""Signals: handled from the first moment, passed to the listener, the first one counts."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ghcr_push.signals import Interruption


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def come(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_kept_with_its_exit_status(number: signal.Signals, status: int) -> None:
    interruption = Interruption.installed()
    assert (interruption.signal, interruption.exit_status) == (None, None)
    come(number)
    assert (interruption.signal, interruption.exit_status) == (number, status)


def test_the_first_signal_counts_and_calls_the_listener_once() -> None:
    interruption = Interruption.installed()
    called: list[int | None] = []
    interruption.set_listener(lambda: called.append(interruption.signal))
    come(signal.SIGTERM)
    come(signal.SIGINT)
    come(signal.SIGTERM)
    assert called == [signal.SIGTERM]
    assert interruption.exit_status == 143


def test_a_late_listener_is_called_at_once() -> None:
    interruption = Interruption.installed()
    come(signal.SIGINT)
    called: list[str] = []
    interruption.set_listener(lambda: called.append("first"))
    interruption.set_listener(lambda: called.append("second"))
    assert called == ["first", "second"]


def test_a_signal_after_the_end_is_kept_without_a_call() -> None:
    interruption = Interruption.installed()
    called: list[str] = []
    interruption.set_listener(lambda: called.append("listener"))
    interruption.remove_listener()
    come(signal.SIGTERM)
    assert called == []
    assert interruption.exit_status == 143


def test_only_the_last_listener_is_called() -> None:
    interruption = Interruption.installed()
    called: list[str] = []
    interruption.set_listener(lambda: called.append("first"))
    interruption.set_listener(lambda: called.append("second"))
    come(signal.SIGTERM)
    assert called == ["second"]


def test_a_loop_that_sleeps_is_woken() -> None:
    interruption = Interruption.installed()

    async def sleep_until_woken() -> None:
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        interruption.set_listener(wake)
        loop.call_soon(come, signal.SIGTERM)
        await woken.wait()

    asyncio.run(sleep_until_woken())


def test_it_loads_nothing_but_the_standard_library_s_quick_parts() -> None:
    """The process is PID 1, and a signal before the handlers are installed is lost."""
    code = "import sys; import ghcr_push.signals; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"ghcr_push", "ghcr_push.signals"} <= loaded
    assert not loaded & {"asyncio", "anyio", "httpx2", "pydantic", "click", "actions_toolkit"}
    assert [name for name in loaded if re.match(r"ghcr_push\.", name)] == ["ghcr_push.signals"]
