"""Measurements as Markdown: a table per condition, and the document that keeps them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from statistics import median

from bench.push.conditions import CONDITIONS, LAYERS, PARALLEL, POST, PUT, TAG, TAGS
from bench.push.contenders import CONTENDERS
from bench.push.measuring import LIMIT, Measurement

BASE = "ours-8"
"""The contender that the others are compared with."""

HEAD = (
    "| client | lost | seconds | to ours at 8 | to the bound | manifest writes | requests "
    "| peak writes |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)

Runs = Mapping[str, Sequence[Measurement]]
"""The measurements of one condition, by contender."""


def by_condition(measured: Iterable[Measurement]) -> dict[str, Runs]:
    """Sort measurements by condition and contender, both in the order of their tables."""
    measured = list(measured)
    sorted_: dict[str, Runs] = {}
    for condition in CONDITIONS:
        runs = {
            contender: [
                each
                for each in measured
                if (each.condition, each.contender) == (condition, contender)
            ]
            for contender in CONTENDERS
        }
        runs = {contender: found for contender, found in runs.items() if found}
        if runs:
            sorted_[condition] = runs
    return sorted_


def seconds(runs: Sequence[Measurement]) -> float:
    """Return the median of the times."""
    return median(each.seconds for each in runs)


def overview(measured: Mapping[str, Runs]) -> str:
    """Give the median seconds of every contender by condition, and the most tags it lost."""
    head = "".join(f" {CONDITIONS[condition].title} |" for condition in measured)
    lines = [f"| seconds |{head}", "| --- |" + " ---: |" * len(measured)]
    for contender, given in CONTENDERS.items():
        cells = [_cell(runs.get(contender, ())) for runs in measured.values()]
        if any(cells):
            lines.append(f"| {given.title} | {' | '.join(cells)} |")
    bounds = " | ".join(f"{CONDITIONS[condition].bound:.1f}" for condition in measured)
    return "\n".join([*lines, f"| *lower bound* | {bounds} |"])


def _cell(runs: Sequence[Measurement]) -> str:
    if not runs:
        return ""
    lost = max(each.lost for each in runs)
    return f"{seconds(runs):.1f}" + (f", {lost} lost" if lost else "")


def table(condition: str, runs: Runs) -> str:
    """Give one condition's medians as a Markdown table under a heading."""
    given = CONDITIONS[condition]
    base = seconds(runs[BASE]) if BASE in runs else None
    rows = [
        f"| {CONTENDERS[contender].title} | {' | '.join(_cells(found, base, given.bound))} |"
        for contender, found in runs.items()
    ]
    meaning = f"{given.meaning[0].upper()}{given.meaning[1:]}. No client can take less than"
    lines = [
        f"## {given.title}",
        f"{meaning} {given.bound:.1f} s with {given.slots} in flight.",
        "\n".join([HEAD, *rows]),
    ]
    return "\n\n".join(lines)


def _cells(runs: Sequence[Measurement], base: float | None, bound: float) -> Iterator[str]:
    middle, times = seconds(runs), [each.seconds for each in runs]
    yield " ".join(str(each.lost) for each in runs)
    yield f"{middle:.1f}" + (f" ({min(times):.1f} to {max(times):.1f})" if len(runs) > 1 else "")
    yield f"{middle / base:.2f}" if base else ""
    yield f"{middle / bound:.2f}"
    yield f"{median(each.manifest_writes for each in runs):g}"
    yield f"{median(each.requests for each in runs):g}"
    yield f"{max(each.peak_writes for each in runs)}"


def document(measured: Sequence[Measurement], *, results: str, picture: str) -> str:
    """Return the whole page; `results` and `picture` are paths as they shall stand in it."""
    engines = ", ".join(sorted({each.engine for each in measured}))
    rounds = 1 + max(each.round for each in measured)
    data = PurePath(results).name
    contenders = "\n".join(f"- {each.title}: {each.meaning}." for each in CONTENDERS.values())
    sorted_ = by_condition(measured)
    tables = "\n\n".join(table(name, runs) for name, runs in sorted_.items())
    return f"""# Measured

{TAGS} tags of one image of {LAYERS} small layers, pushed by several clients in turn from one
Docker Engine ({engines}) on one machine of two cores. This page is made by

    python -m bench.push --rounds {rounds} --append {results}
    python -m bench.push --report {results}

of which the first may be run in pieces (`--conditions`, `--contenders`); the second makes the
tables and the picture out of the measurements in [{data}]({data}).

{overview(sorted_)}

![Seconds by condition and client]({picture})

The registry is a real one, empty for every measurement, behind a front on the same machine that
takes {POST} s to begin an upload, {PUT} s to end it and {TAG} s for a manifest, hands out tokens as
ghcr.io does, and fails as each heading says. A registry across the internet is not a front on
the same machine, and nothing here was run against ghcr.io itself.

{contenders}

*Lost*: tags that were not there at the end, round by round. *Seconds*: the median, and in brackets
the least and the most, from the start of the first process to the end of the last; after
{LIMIT:.0f} s a client is ended. The bound is computed, not measured: every blob takes a POST and a
PUT, every tag a PUT, no manifest goes before its blobs, and at most {PARALLEL} writes (or what the
registry bears, where that is less) are in flight; all else takes no time. The formula stands in
`bench/push/conditions.py`. *Manifest writes* and *requests* are medians of what the registry was
asked, refused or not; *peak writes* is the most that were in flight at a time.

{tables}
"""
