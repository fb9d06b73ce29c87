"""The state of one registry in a run, shared by all groups that push there."""

from dataclasses import dataclass

from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.write_access import WriteAccess


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryState:
    """Its slots and reads, the blobs that it holds, and the repositories that refuse us."""

    limiter: Limiter
    known_blobs: KnownBlobs
    write_access: WriteAccess
