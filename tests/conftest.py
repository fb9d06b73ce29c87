"""What may run side by side: see `scripts/test`."""

from pathlib import Path

import pytest

REAL = ("e2e", "integration")
"""The folders whose tests start engines, registries and processes, and look at the clock."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests with real parts together: one process runs them, one after the other."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in REAL:
            item.add_marker(pytest.mark.xdist_group("real"))
