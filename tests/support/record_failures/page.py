"""The page about the recordings: what clients print, what they lose, and what is not recorded."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

from tests.support.record_failures.recording import DATA

PAGE = DATA.parents[2] / "docs" / "failures-recorded.md"

_INTRODUCTION = """\
# What real clients print

`python -m tests.support.record_failures` lets the `docker push` of real engines meet every answer
of `tests/data/failures/scenarios.toml` at the steps named there, and keeps what they print in
`tests/data/failures`. The unit tests classify every recording, and the same answers as our own
client sees them, and compare the kind with those of the scenario. It also makes this page.

- The classic store keeps the error code (`denied: …`) and drops a message that is the code's
  default text. Of 5xx it keeps the status alone. It does not mind a first ping that fails with a
  status, and tries the token as often as a layer: five times, 50 seconds.
- The containerd store of engine 26 keeps the status and drops code, text and waits.
- The containerd store of engine 28 keeps the text (`error from registry: …`) and drops code and
  status; without a JSON error list it keeps the status. It asks with HEAD first, whose answer has
  no text at all.
- Neither containerd store ends a request for a token or a commit that is never answered: they were
  ended after 150 seconds. Only a time limit around the push helps.
"""


def page() -> str:
    """Return the page as Markdown, made from the recordings and `exceptions.toml`."""
    return "\n".join([_INTRODUCTION, *_numbers(), *_lost(), *_not_had()])


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / name).read_text(encoding="utf-8"))


def _numbers() -> Iterator[str]:
    yield "## Recorded\n"
    yield "Pushes that failed are recordings. The others succeeded all the same, where the client"
    yield "does not make that request or does not mind, or had no end of their own.\n"
    yield "| engine | client | store | recordings | succeeded | no end |"
    yield "| --- | --- | --- | --- | --- | --- |"
    total = 0
    for file in sorted(DATA.glob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        total += len(data["recordings"])
        cells = [data[name] for name in ("engine", "client", "store")]
        counts = [str(len(data[name])) for name in ("recordings", "passed", "hung")]
        yield f"| {' | '.join(cells + counts)} |"
    scenarios = _read("scenarios.toml")
    rows = {row for name, one in scenarios.items() if name != "usual" for row in one["rows"]}
    yield f"\n{total} recordings of {len(scenarios) - 1} scenarios for {len(rows)} rows.\n"


def _lost() -> Iterator[str]:
    yield "## Where the words say less than the answer\n"
    yield "The recording wins: these are classified by their words.\n"
    yield "| engines | store | scenarios | steps | classified | why |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for exception in _read("exceptions.toml")["exception"]:
        cells = [
            ", ".join(exception["engines"]),
            exception["store"],
            ", ".join(exception["scenarios"]),
            ", ".join(exception.get("steps", ["all"])),
            ", ".join(f"`{kind}`" for kind in exception["kinds"]),
            exception["reason"],
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _not_had() -> Iterator[str]:
    yield "## Not recorded\n"
    yield "These rows have the catalogue's words as examples in the table, not recordings.\n"
    for row, reason in _read("exceptions.toml")["not-recorded"].items():
        yield f"- {row}: {reason}."
    yield ""
