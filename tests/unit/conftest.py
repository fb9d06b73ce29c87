"""Unit tests use nothing outside the process, and the same random examples every time."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

# no deadline: a slow machine is not a fault; HYPOTHESIS_PROFILE=default draws new examples
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "deterministic"))


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    # an event loop wakes itself through a pair of UNIX sockets
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
