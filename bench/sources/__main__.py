"""Push layouts and copy between registries, side by side with crane and skopeo.

    python -m bench.sources             three rounds of everything, about a quarter of an hour
    python -m bench.sources --quick     two rounds without faults, else one; under five minutes
    python -m bench.sources --only healthy --rounds 9

Every client gets a new registry behind a front in a separate process, and runs as its user would
run it: one process for the content, and one for each further tag if it needs that. Clients take
turns within a round, and each round starts with another one. The times of one round are compared,
so that a slow minute of the machine affects all clients. Needs Debian, and no engine.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from bench.sources.content import source_of
from bench.sources.measuring import CLIENTS, Measurement, measure
from bench.sources.scenes import KINDS, SCENES, SMALL, Scene

Rounds = Mapping[str, Sequence[Measurement]]


def measured(kind: str, scene: Scene, rounds: int) -> Rounds:
    """Let all clients push in every round; each round starts with another one."""
    runs: dict[str, list[Measurement]] = {client: [] for client in CLIENTS}
    with source_of(kind, scene) as source:
        for number in range(rounds):
            turn = number % len(CLIENTS)
            clients = list(CLIENTS)
            for client in clients[turn:] + clients[:turn]:
                runs[client].append(measure(scene, client, source, number))
                print(f"{scene.title}, {kind}: {client}: {runs[client][-1]}", file=sys.stderr)
    return runs


def table(kind: str, scene: Scene, runs: Rounds) -> str:
    """Return a scene's medians as a Markdown table, with its goal."""
    origin = "a layout" if kind == "layout" else "a registry"
    lines = [
        f"### {scene.title}, from {origin}",
        "",
        "| client | s | ours to it | CPU s | tags lost | blobs sent | refused |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for client, each in runs.items():
        cells = [
            client,
            f"{median(one.seconds for one in each):.2f}",
            f"{ratio(runs, client):.2f}",
            f"{median(one.processor for one in each):.2f}",
            f"{sum(one.lost for one in each)} of {scene.tags * len(each)}",
            f"{median(one.blobs for one in each):g}",
            f"{median(one.refused for one in each):g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{len(runs['ours'])} rounds. {verdict(scene, runs)}", ""])


def ratio(runs: Rounds, client: str) -> float:
    """Return the median over the rounds of our time to a client's in the same round."""
    pairs = zip(runs["ours"], runs[client], strict=True)
    return median(mine.seconds / theirs.seconds for mine, theirs in pairs)


def verdict(scene: Scene, runs: Rounds) -> str:
    """Say whether the scene's goal was reached."""
    if scene.ratio is not None:
        worst = max(ratio(runs, client) for client in CLIENTS if client != "ours")
        held = "held" if worst <= scene.ratio else "MISSED"
        return f"Ours to the quicker peer: {worst:.2f}, at most {scene.ratio} asked: {held}."
    over = fmean(one.seconds for one in runs["ours"]) / scene.bound
    lost = sum(one.lost for one in runs["ours"])
    held = "held" if over <= (scene.over or 0) and not lost else "MISSED"
    return (
        f"Ours to the least time of {scene.bound:.1f} s, on average: {over:.2f}, at most "
        f"{scene.over} and no tag lost asked: {held}."
    )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="scenes whose name has this in it")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, metavar="KIND")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, at most five minutes")
    given = parser.parse_args()
    with source_of("layout", SCENES[SMALL]) as source:
        measure(SCENES[SMALL], "ours", source, 0)  # so that all modules are compiled
    for name, scene in SCENES.items():
        healthy = scene.ratio is not None
        rounds, kinds = given.rounds, given.kinds
        if given.quick:
            rounds, kinds = (2, kinds) if healthy else (1, kinds[:1])
        for kind in kinds if given.only in name else ():
            print(table(kind, scene, measured(kind, scene, rounds)), flush=True)


if __name__ == "__main__":
    main()
