"""A reverse proxy for a real registry that shows the faults of GHCR.

It is faithful unless told otherwise: what it does wrong it was ordered to do, by a `Behaviour`,
and its own faults are told apart (status 599, `Stats.front_errors`). Run it in a test with
`running_front`, or as a process with `python -m tests.support.front`.
"""

from tests.support.front.answers import Answer, oci_error
from tests.support.front.behaviour import (
    Auth,
    Behaviour,
    Bucket,
    Event,
    Faults,
    Lag,
    Match,
    Outage,
    Rule,
    Secondary,
    User,
    Window,
    on,
)
from tests.support.front.running import Front, running_front
from tests.support.front.stats import Entry, Stats
from tests.support.front.steps import WRITES, Step

__all__ = [
    "WRITES",
    "Answer",
    "Auth",
    "Behaviour",
    "Bucket",
    "Entry",
    "Event",
    "Faults",
    "Front",
    "Lag",
    "Match",
    "Outage",
    "Rule",
    "Secondary",
    "Stats",
    "Step",
    "User",
    "Window",
    "oci_error",
    "on",
    "running_front",
]
