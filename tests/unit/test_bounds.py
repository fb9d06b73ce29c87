"""What benchmarks compute: the minimum times of a push, and the writes that rival limits count."""

import pytest
from bench.limits import Aimd, Remembering
from bench.limits_page import CELLS, rows, table
from bench.push.conditions import CONDITIONS
from tests.support.front import Step


@pytest.mark.parametrize(
    ("failed", "more"),
    [
        ({}, 0),
        ({Step.UPLOAD_POST: 8}, 0.1),
        ({Step.UPLOAD_PUT: 4, Step.UPLOAD_PATCH: 9}, 0.125),
        ({Step.MANIFEST_PUT: 4}, 0),  # the last of three rounds of eight has four slots free
        ({Step.MANIFEST_PUT: 5}, 0.4),
    ],
)
def test_each_failed_write_is_made_once_more(failed: dict[Step, int], more: float) -> None:
    healthy = CONDITIONS["healthy"].bound
    assert healthy == pytest.approx(16 * 0.35 / 8 + 3 * 0.4)
    assert CONDITIONS["faults"].bound_with(failed) == pytest.approx(healthy + more)


def test_an_outage_holds_back_what_had_not_begun() -> None:
    # 0.7 s of uploads, one round of eight before 1 s, twelve tags after the outage's end
    assert CONDITIONS["outage"].bound == pytest.approx(31 + 2 * 0.4)


@pytest.mark.parametrize("rule", [Aimd, Remembering])
def test_a_rival_limit_counts_only_writes_in_flight(rule: type[Aimd]) -> None:
    limit = rule(4)
    first, _ = limit.began(), limit.began()
    limit.finished(first)
    assert limit.inside == 1


def test_the_page_on_pressure_has_the_table_of_its_data() -> None:
    page = (CELLS.parent / "pressure.md").read_text(encoding="utf-8")
    assert "\n".join(table(rows())) in page
