"""The front as a process; see `--help`."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from tests.support.front.behaviour import Behaviour
from tests.support.front.server import Server


def _behaviour(given: str) -> Behaviour:
    """Read a behaviour from JSON text or from the file of that name."""
    text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
    return Behaviour.model_validate_json(text)


def _endpoint(given: str) -> tuple[str, int]:
    host, _, port = given.rpartition(":")
    return host, int(port)


async def _serve(upstream: str, listen: tuple[str, int], behaviour: Behaviour, seed: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = Server(upstream, behaviour, seed)
    await server.start(*listen)
    addresses = {"address": server.address, "other_address": server.other_address}
    print(json.dumps(addresses), flush=True)
    await stopping.wait()
    stats = server.stats()
    await server.stop()
    print(stats.model_dump_json(), flush=True)


def main() -> int:
    """Run until SIGTERM or SIGINT; print the addresses first and the statistics last."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.front",
        description="A GHCR-like front before a registry. Prints one JSON line with its "
        "addresses, serves until SIGTERM or SIGINT, then prints its statistics as JSON.",
    )
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT")
    parser.add_argument("--listen", type=_endpoint, default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--behaviour", default="{}", metavar="FILE|JSON")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        behaviour = _behaviour(given.behaviour)
    except (OSError, ValidationError) as error:
        parser.error(f"--behaviour: {error}")
    asyncio.run(_serve(given.upstream, given.listen, behaviour, given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
