"""``declare-artifacts``: the declarations for the runner, and omissions with a notice."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.reports import APP, DENIED, OPS, digest, not_landed, pushed, target

from ghcr_push.fronts.delivery import Delivery, deliver, exit_status
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.model import TargetResult
from ghcr_push.planning.settings import read_settings
from ghcr_push.references import Repository
from ghcr_push.reporting.artifacts import MOST
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption

ASKED = read_settings({"tags": "ghcr.io/acme/app:1", "declare-artifacts": "true"})


def run(*results: TargetResult) -> Report:
    return build(
        results,
        started_at="2026-11-28T20:00:00.000Z",
        duration=1.0,
        cancelled=False,
        max_parallel=4,
    )


@dataclass
class Runner:
    """A runner's two files and its environment."""

    written: Path
    listing: Path
    environ: dict[str, str]

    def lines(self) -> list[str]:
        return self.written.read_text().splitlines()

    def declared(self, *subjects: tuple[str, str]) -> None:
        entries = [{"name": name, "digest": digest, "kind": "oci"} for name, digest in subjects]
        self.listing.write_text(json.dumps({"version": 1, "subjects": entries}))

    def deliver(self, report: Report) -> Delivery:
        return deliver(report, ASKED, self.environ, WorkspacePaths({}))


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    written, listing = tmp_path / "artifacts", tmp_path / "list"
    written.touch()
    listing.touch()  # it is empty where the runner's feature is off
    environ = {"GITHUB_ARTIFACTS": str(written), "GITHUB_ARTIFACTS_LIST": str(listing)}
    return Runner(written, listing, environ)


def test_landed_targets_are_declared_each_name_once(runner: Runner) -> None:
    report = run(
        pushed(target("1")),
        pushed(target("2"), before=digest(1)),
        pushed(target("1", OPS), content=digest(2)),
        not_landed(target("1", Repository("ghcr.io", "acme/lost")), DENIED),
    )
    delivery = runner.deliver(report)
    assert runner.lines() == [
        f"oci://ghcr.io/acme/app@{digest(1)}",
        f"oci://ghcr.io/acme/ops@{digest(2)}",
    ]
    assert delivery.notices == delivery.undelivered == tuple(delivery.report.notices) == ()


def test_nothing_is_declared_unless_it_is_asked_for(runner: Runner) -> None:
    settings = read_settings({"tags": "ghcr.io/acme/app:1"})
    deliver(run(pushed(target("1"))), settings, runner.environ, WorkspacePaths({}))
    assert runner.lines() == []


def test_a_name_with_two_digests_is_left_out_and_reported(runner: Runner) -> None:
    report = run(
        pushed(target("1")), pushed(target("2"), content=digest(2)), pushed(target("1", OPS))
    )
    delivery = runner.deliver(report)
    assert runner.lines() == [f"oci://ghcr.io/acme/ops@{digest(1)}"]
    assert delivery.notices == (
        "not declared as an artifact: ghcr.io/acme/app (has more than one digest in this run)",
    )
    assert tuple(delivery.report.notices) == delivery.notices


def test_declarations_of_an_earlier_step_are_not_contradicted(runner: Runner) -> None:
    """The runner fails a step that declares another digest for a name."""
    runner.declared((str(APP), digest(7)), (str(OPS), digest(1)))
    delivery = runner.deliver(run(pushed(target("1")), pushed(target("1", OPS))))
    assert runner.lines() == []
    (notice,) = delivery.notices
    assert "ghcr.io/acme/app (has another digest, declared by an earlier step)" in notice


def test_no_more_are_declared_than_a_job_may(runner: Runner) -> None:
    runner.declared(*((f"file-{number}", digest(number)) for number in range(MOST - 2)))
    repositories = [Repository("ghcr.io", f"acme/app-{number}") for number in range(7)]
    delivery = runner.deliver(run(*(pushed(target("1", each)) for each in repositories)))
    assert len(runner.lines()) == 2
    (notice,) = delivery.notices
    assert "acme/app-2, ghcr.io/acme/app-3, ghcr.io/acme/app-4 and 2 more" in notice
    assert "500" in notice


def test_lines_stand_below_what_was_there(runner: Runner) -> None:
    runner.written.write_text("dist/app.tar\n")
    runner.deliver(run(pushed(target("1"))))
    assert runner.lines() == ["dist/app.tar", f"oci://ghcr.io/acme/app@{digest(1)}"]


@pytest.mark.parametrize("listing", ["", "{", "[]", '{"subjects": 1}', '{"subjects": [1]}'])
def test_an_unreadable_list_counts_as_missing(runner: Runner, listing: str) -> None:
    runner.listing.write_text(listing)
    runner.deliver(run(pushed(target("1"))))
    assert len(runner.lines()) == 1


@pytest.mark.parametrize("environ", [{}, {"GITHUB_ARTIFACTS": ""}])
def test_a_runner_without_the_file_is_a_notice(environ: dict[str, str]) -> None:
    delivery = deliver(run(pushed(target("1"))), ASKED, environ, WorkspacePaths({}))
    (notice,) = delivery.notices
    assert "GITHUB_ARTIFACTS is not set; runners set it from 2.336 on" in notice
    assert exit_status(delivery, ASKED, Interruption()) == 0


def test_an_unwritable_file_is_reported_and_fails_the_step(runner: Runner) -> None:
    runner.written.unlink()
    runner.written.mkdir()
    delivery = runner.deliver(run(pushed(target("1"))))
    assert delivery.undelivered == ("the artifacts could not be written: Is a directory",)
    assert exit_status(delivery, ASKED, Interruption()) == 1


def test_without_a_landed_target_nothing_is_declared() -> None:
    delivery = deliver(run(not_landed(target("1"), DENIED)), ASKED, {}, WorkspacePaths({}))
    assert delivery.notices == ()
