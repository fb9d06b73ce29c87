"""``python -m tests.simulation SEED`` replays one seed; ``--seeds N --jobs M`` plays many.

From seed 1000000 on we upload the layers ourselves; from 10000000 on there is a dead registry
beside a healthy one, and each seed is played twice (see `isolation`).
"""

import argparse
import hashlib
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.isolation import ISOLATED, broken_beside_the_dead, isolated
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import scenario

REPLAY = "python -m tests.simulation"
CHUNK = 250


def main() -> int:
    """Play the requested seeds; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog=REPLAY, description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="replay this one and print everything")
    parser.add_argument("--seeds", type=int, default=0, help="play so many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed)
    return soak(options.first, options.seeds, options.jobs)


def replay(seed: int) -> int:
    """Print all events and requests of one seed."""
    played = play(isolated(seed) if seed >= ISOLATED else scenario(seed))
    print(played.scenario)
    for at, event in played.events:
        print(f"{at - played.start:10.3f} {event}")
    for request in played.log:
        print(f"{request.began - played.start:10.3f} {request}")
    print("fingerprint", fingerprint(played))
    broken = broken_by(seed)
    print(*(broken or ["no promise is broken"]), sep="\n")
    return bool(broken)


def soak(first: int, seeds: int, jobs: int) -> int:
    """Play many seeds; print each that breaks a promise, with the command that replays it."""
    bad = 0
    starts = range(first, first + seeds, CHUNK)
    with ProcessPoolExecutor(jobs) as pool:
        for found in pool.map(findings, starts, [min(CHUNK, first + seeds - n) for n in starts]):
            for seed, broken in found:
                bad += 1
                print(f"{REPLAY} {seed}: {'; '.join(broken)}", flush=True)
    print(f"{seeds} seeds from {first}, {bad} with a broken promise")
    return bool(bad)


def findings(first: int, count: int) -> list[tuple[int, list[str]]]:
    """Play ``count`` seeds from ``first`` on; return those that break a promise."""
    return [(seed, broken) for seed in range(first, first + count) if (broken := broken_by(seed))]


def broken_by(seed: int) -> list[str]:
    """Play ``seed``; return the broken promises."""
    if seed >= ISOLATED:
        return broken_beside_the_dead(seed)
    return broken_promises(play(scenario(seed)))


def fingerprint(played: Played) -> str:
    """Return a digest of everything that happened: equal for equal runs, to the last wait."""
    story = repr((played.log, played.events, played.results, played.ended))
    return hashlib.sha256(story.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
