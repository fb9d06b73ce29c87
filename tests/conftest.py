"""Which tests run side by side: see `scripts/test`."""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

REAL = ("tests/e2e/", "tests/integration/")
"""The folders whose tests start engines, registries and processes, and look at the clock."""


class RealByFolder(LoadScopeScheduling):
    """Gives each folder with real parts to one process, and each other test to any process."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in REAL if nodeid.startswith(folder)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> RealByFolder:
    """Share the tests among the processes as `RealByFolder` does."""
    return RealByFolder(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let what only computes wait for what looks at the clock, where both run."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(REAL):
        os.nice(19)
