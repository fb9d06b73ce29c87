"""The one command; see `--help`."""

import argparse
import itertools
import json
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.record_failures.answered import play, scenarios
from tests.support.record_failures.engine import HUNG, Engine, environment, running_engine
from tests.support.record_failures.page import PAGE, page
from tests.support.record_failures.recording import DATA, Recording
from tests.support.record_failures.unanswered import local, unreached

ENGINES = (
    "bookworm/classic",
    "trixie/classic",
    "trixie/containerd",
    "sid/classic",
    "sid/containerd",
)
# most of the time all of them wait
_ENGINES_AT_ONCE = 3
_PUSHES_AT_ONCE = 16


def main() -> int:
    """Record with the requested engines, or with all; with `--only` print, do not write."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.record_failures",
        description="Records what docker push prints when it fails, by real engines.",
    )
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--only", default="", metavar="PATTERN", help="of scenarios' names")
    parser.add_argument("--page", action="store_true", help="only make the page anew")
    given = parser.parse_args()
    if given.page:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    # so that engines are stopped then too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        environment(("registry-up", "record"), ("registry-down", "record")) as registry,
        ThreadPoolExecutor(_ENGINES_AT_ONCE) as pool,
    ):
        names = given.engine or ENGINES
        texts = pool.map(lambda name: _record(name, registry["REGISTRY"], given.only), names)
        for name, text in zip(names, texts, strict=True):
            if given.only:
                print(text)
            else:
                (DATA / f"{name.replace('/', '-')}.json").write_text(text, encoding="utf-8")
    if not given.only:
        PAGE.write_text(page(), encoding="utf-8")
    return 0


def _record(name: str, registry: str, only: str) -> str:
    """Return the file of one engine's recordings."""
    suite, store = name.split("/")
    with running_engine(suite, store) as engine:
        return _file(engine, list(_pushes(engine, registry, only)))


def _pushes(engine: Engine, registry: str, only: str) -> Iterator[Recording]:
    plays = [
        (name, scenario, step)
        for name, scenario in scenarios().items()
        if engine.store in scenario.get("stores", (engine.store,)) and re.search(only, name)
        for step in scenario["steps"]
    ]
    with ThreadPoolExecutor(_PUSHES_AT_ONCE) as pool:
        yield from pool.map(lambda chosen: play(engine, registry, *chosen), plays)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        more = itertools.chain(unreached(engine, folder), local(engine, registry, folder))
        yield from (push for push in more if re.search(only, push.scenario))


def _file(engine: Engine, pushes: list[Recording]) -> str:
    """Return a file of recordings.

    `passed` are pushes that succeeded all the same: the client does not make that request, or
    does not mind its failing. `hung` are those that had no end of their own.
    """
    version = engine.docker("version", "--format", "{{.Server.Version}} {{.Client.Version}}")
    server, client = version.stdout.split()
    ordered = sorted(pushes, key=lambda push: (push.scenario, push.step))
    found = {
        "engine": server,
        "client": client,
        "store": engine.store,
        "passed": [f"{push.scenario} {push.step}" for push in ordered if push.exit == 0],
        "hung": [f"{push.scenario} {push.step}" for push in ordered if push.exit == HUNG],
        "recordings": [push.as_json() for push in ordered if push.exit not in {0, HUNG}],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
