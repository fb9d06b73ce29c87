"""Which tests run side by side: see `scripts/test`."""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

REAL = ("tests/e2e/", "tests/integration/")
"""The folders whose tests start engines, registries and processes, and look at the clock."""


class RealTogether(LoadScopeScheduling):
    """Gives one process all tests with real parts, and any process each of the others."""

    def _split_scope(self, nodeid: str) -> str:
        return "real" if nodeid.startswith(REAL) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> RealTogether:
    """Share the tests among the processes as `RealTogether` does."""
    return RealTogether(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let what only computes wait for what looks at the clock, where both run."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(REAL):
        os.nice(19)
