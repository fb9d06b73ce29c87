"""The front's statistics: counts for assertions, and the log of every request in order."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pydantic import BaseModel, ConfigDict

from tests.support.front.steps import WRITES, Call, Step


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request. `t` is seconds since the start or the last reset, `seconds` its whole length.

    Status 0: the connection ended without a status. `writes` are the writes in flight when
    it arrived, itself excluded. `forwarded` tells whether the registry saw it, `refused`
    whether `max_writes` turned it away. `size` is the length announced for its body.
    """

    t: float
    step: Step
    method: str
    path: str
    writes: int
    repository: str = ""
    reference: str = ""
    status: int = 0
    forwarded: bool = False
    refused: bool = False
    seconds: float = 0
    size: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class Stats(BaseModel):
    """A snapshot of the counts; keys that join two names use the form `repository:tag`.

    - `answers`: answers per step and status; status 0 is a connection that ended without one.
    - `refused_writes`: turned away by `max_writes`.
    - `writes_now`, `peak_writes`: writes let in and in flight, now and at most.
    - `peak_offered`: writes in flight as clients saw it, the refused ones included.
    - `forwarded_peak`: writes inside the registry itself at once, at most.
    - `blob_uploads`: repository to digest to commits that the registry confirmed.
    - `blob_mounts`: repository to mounts that the registry confirmed.
    - `manifest_writes`: writes of a tag or digest that took effect, whatever the client was told.
    - `upload_bytes`: bytes of upload bodies passed on.
    - `front_errors`: faults of the front's own (answered 599). A sound test sees 0.
    - `registry_errors`: 5xx of the registry itself. A sound test sees 0.
    - `clients_gone`: requests whose client went away before the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    requests: int
    answers: dict[Step, dict[int, int]]
    refused_writes: int
    writes_now: int
    peak_writes: int
    peak_offered: int
    forwarded_peak: int
    blob_uploads: dict[str, dict[str, int]]
    blob_mounts: dict[str, int]
    manifest_writes: dict[str, int]
    upload_bytes: int
    front_errors: int
    registry_errors: int
    clients_gone: int

    def count(self, *steps: Step, status: int | None = None) -> int:
        """Return how many requests of `steps` (none given: all) got `status` (None: any)."""
        return sum(
            number
            for step, by_status in self.answers.items()
            if not steps or step in steps
            for got, number in by_status.items()
            if status in (None, got)
        )


class Ledger:
    """Keeps the counts; every method is called from the front's own loop."""

    def __init__(self, now: float = 0) -> None:
        self._began = now
        self.log: list[Entry] = []
        self.answers: Counter[tuple[Step, int]] = Counter()
        self.blob_uploads: dict[str, Counter[str]] = {}
        self.blob_mounts: Counter[str] = Counter()
        self.manifest_writes: Counter[str] = Counter()
        self.credentials: dict[str, set[str]] = {}
        self.refused_writes = self.upload_bytes = 0
        self.front_errors = self.registry_errors = self.clients_gone = 0
        self.offered = self.peak_offered = self.peak_writes = 0
        self.forwarded = self.forwarded_peak = 0

    def arrived(
        self, call: Call, now: float, writes: int, headers: Mapping[str, str] | None = None
    ) -> Entry:
        """Open the entry of a request."""
        entry = Entry(
            t=round(now - self._began, 6),
            step=call.step,
            method=call.method,
            path=call.path,
            repository=call.repository,
            reference=call.reference,
            writes=writes,
            size=call.size,
            headers=dict(headers or {}),
        )
        self.log.append(entry)
        if call.step in WRITES:
            self.offered += 1
            self.peak_offered = max(self.peak_offered, self.offered)
        return entry

    def ended(self, entry: Entry, status: int, now: float) -> None:
        """Close the entry of a request."""
        entry.status = status
        entry.seconds = round(now - self._began - entry.t, 6)
        self.answers[entry.step, status] += 1
        self.refused_writes += entry.refused
        if entry.step in WRITES:
            self.offered -= 1

    def let_in(self, writes: int) -> None:
        """Record that `writes` are in flight now."""
        self.peak_writes = max(self.peak_writes, writes)

    def sent(self, change: int) -> None:
        """Record a write that begins (+1) or ends (-1) at the registry."""
        self.forwarded += change
        self.forwarded_peak = max(self.forwarded_peak, self.forwarded)

    def landed(self, call: Call, status: int) -> None:
        """Record the registry's own answer."""
        self.registry_errors += status >= 500
        if status != 201:
            return
        if call.step is Step.MANIFEST_PUT:
            joint = "@" if ":" in call.reference else ":"
            self.manifest_writes[f"{call.repository}{joint}{call.reference}"] += 1
        elif call.step is Step.UPLOAD_POST and call.mount_from:
            self.blob_mounts[call.repository] += 1
        elif call.step in (Step.UPLOAD_POST, Step.UPLOAD_PUT):
            self.blob_uploads.setdefault(call.repository, Counter())[call.reference] += 1

    def saw(self, place: str, credentials: str) -> None:
        """Record an `Authorization` header that arrived at `place`."""
        self.credentials.setdefault(place, set()).add(credentials)

    def snapshot(self, now: float, writes: int) -> Stats:
        """Return the current counts."""
        answers: dict[Step, dict[int, int]] = {}
        for (step, status), number in sorted(self.answers.items()):
            answers.setdefault(step, {})[status] = number
        return Stats(
            seconds=round(now - self._began, 3),
            requests=len(self.log),
            answers=answers,
            refused_writes=self.refused_writes,
            writes_now=writes,
            peak_writes=self.peak_writes,
            peak_offered=self.peak_offered,
            forwarded_peak=self.forwarded_peak,
            blob_uploads={name: dict(counts) for name, counts in self.blob_uploads.items()},
            blob_mounts=dict(self.blob_mounts),
            manifest_writes=dict(self.manifest_writes),
            upload_bytes=self.upload_bytes,
            front_errors=self.front_errors,
            registry_errors=self.registry_errors,
            clients_gone=self.clients_gone,
        )

    def entries(self) -> list[dict[str, object]]:
        """Return the log in the form of JSON."""
        return [asdict(entry) for entry in self.log]
