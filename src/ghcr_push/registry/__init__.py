"""The registries of a run, as our own process reaches them: an OCI distribution client.

One attempt per call: nothing here retries or sleeps, except that a rejected token is renewed once.
"""

from ghcr_push.registry.client import RegistryClient
from ghcr_push.registry.http import TimeLimits

__all__ = ["RegistryClient", "TimeLimits"]
