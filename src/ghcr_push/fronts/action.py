"""Entry point for a GitHub runner: reads its variables; writes commands, outputs and summary.

The only module that imports actions-toolkit. If something cannot be written (a full disk, a missing
file), only that is lost, with a line in the log.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

from ghcr_push import app
from ghcr_push.fronts.delivery import BAD_INPUT, Delivery, deliver, exit_status, unwritten
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.fronts.guide import guide
from ghcr_push.fronts.lines import engine_lines, escape_commands
from ghcr_push.fronts.log import logged
from ghcr_push.fronts.runlog import SINGLY, RunLog
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.events import EngineSaid, Event, Noticed
from ghcr_push.reporting.annotations import MOST_ANNOTATIONS, annotations
from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.outputs import outputs, refused_outputs
from ghcr_push.reporting.phrases import tally
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.summary import refused_summary, summary
from ghcr_push.reporting.terminal import (
    failed_lines,
    landed_lines,
    left_lines,
    planned_lines,
    retried_lines,
)
from ghcr_push.signals import Interruption


@contextmanager
def _stubbed_import(name: str) -> Iterator[None]:
    """Make ``name`` import as an empty module inside, unless it was imported before."""
    empty = sys.modules.setdefault(name, ModuleType(name))
    yield
    if not hasattr(empty, "__file__"):
        del sys.modules[name]


with _stubbed_import("requests"):
    # the toolkit needs a tenth of a second for it, half of our start, for OpenID Connect alone
    from actions_toolkit import core


def main(interruption: Interruption, environ: Mapping[str, str] = os.environ) -> int:
    """Run the step described by ``environ``; return its exit status."""
    runner = Runner(environ)
    try:
        settings = read_settings(inputs(environ), runner.places.path)
        runner.mask(settings.secrets)
        with runner.followed(settings.secrets):
            report = asyncio.run(
                app.push(
                    settings,
                    environ={**environ, **runner.places.certificates()},
                    observer=runner.show,
                    interruption=interruption,
                )
            )
            delivery = runner.deliver(report, settings)
    except InputError as error:
        runner.refuse(error)
        return BAD_INPUT
    return exit_status(delivery, settings, interruption)


def inputs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the inputs by name, including unknown ones, so that a typing error can be reported."""
    return {
        variable.removeprefix("INPUT_").lower(): value
        for variable, value in environ.items()
        if variable.startswith("INPUT_")
    }


class Runner:
    """The runner that started the action: its log, files and commands."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._notices = 0
        self._log = RunLog()
        self._pushes = 0
        self._said: list[str] = []
        """Engine output of pushes that have no group of their own in the log."""
        self.places = WorkspacePaths(environ)

    # -- the log ----------------------------------------------------------------------------

    def show(self, event: Event) -> None:
        """Print an event; the engine's output goes into a separate group."""
        if isinstance(event, Noticed):
            self.notice(event.sentence)
            return
        if isinstance(event, EngineSaid):
            self._engine_said(event)
        for line in self._log.lines(event):
            print(self._log.timed(line))

    def _engine_said(self, event: EngineSaid) -> None:
        """Print the engine's output in a group; after the first push, in one group at the end."""
        title = escape_commands(f"docker push {event.target}")
        self._pushes += 1
        if self._pushes <= SINGLY:
            self._group(title, engine_lines(event))
        else:
            self._said += [title, *engine_lines(event)]

    def _group(self, title: str, lines: Iterable[str]) -> None:
        """Print lines that a runner shows folded; nothing if there are none."""
        if printed := list(lines):
            core.start_group(title)
            for line in printed:
                print(line)
            core.end_group()  # type: ignore[no-untyped-call] # the library has no types

    def followed(self, secrets: Sequence[str]) -> AbstractContextManager[None]:
        """Log internal errors inside and, if debug logging is on, every request.

        A runner shows debug lines only with debug logging, and marks them.
        """
        debug = self._environ.get("RUNNER_DEBUG") == "1"
        return logged(
            fault=print,
            detail=(lambda line: core.debug(self._log.timed(line))) if debug else None,
            secrets=secrets,
        )

    def notice(self, sentence: str) -> None:
        """Show ``sentence`` on the run's page; the eleventh is only in the log."""
        self._notices += 1
        if self._notices <= MOST_ANNOTATIONS:
            core.notice(escape_commands(sentence))
        else:
            print(escape_commands(sentence))

    def mask(self, secrets: Iterable[str]) -> None:
        """Make a runner, if there is one, mask ``secrets`` in all output from here on."""
        if self._environ.get("GITHUB_ACTIONS") == "true":
            for secret in secrets:
                core.set_secret(secret)

    def refuse(self, error: InputError) -> None:
        """Report all problems of the inputs at once, after any notices."""
        for sentence in error.notices:
            self.notice(sentence)
        lines = str(error).splitlines()
        for line in lines[:MOST_ANNOTATIONS]:
            core.error(escape_commands(line), title="Bad input")
        for line in lines[MOST_ANNOTATIONS:]:
            print(escape_commands(line))
        self._write("the outputs", lambda: self._set_outputs(refused_outputs()))
        self._write("the job summary", lambda: self._summarise(refused_summary(lines)))

    # -- output for later steps and people ---------------------------------------------------

    def deliver(self, report: Report, settings: Settings) -> Delivery:
        """Write all results; a failure of one does not affect the others."""
        for line in self._log.rest():
            print(self._log.timed(line))
        delivery = deliver(report, settings, self._environ, self.places)
        for sentence in delivery.notices:
            self.notice(sentence)
        for sentence in delivery.undelivered:
            self._report_unwritten(sentence)
        report = delivery.report
        self._write("the outputs", lambda: self._set_outputs(outputs(report, delivery.path)))
        if settings.summary:
            protected = bool(settings.protect)
            self._write(
                "the job summary",
                lambda: self._summarise(
                    summary(report, protected=protected, guide=guide(self._environ))
                ),
            )
        self._print_result(report)
        return delivery

    def _print_result(self, report: Report) -> None:
        """Print the result: causes as annotations, details folded."""
        print(escape_commands(headline(report)))
        shown = annotations(report)
        for each in shown:
            say = {"error": core.error, "warning": core.warning, "notice": core.notice}[each.level]
            if each.level == "error":  # a runner shows it on the run page only
                print(escape_commands(f"✗ {each.title}"))
            say(escape_commands(each.message), title=escape_commands(each.title))
        if sum(each.level == "error" for each in shown) >= MOST_ANNOTATIONS:
            self._print(failed_lines(report))
        self._print(left_lines(report))
        self._print(planned_lines(report))
        self._group("Output of the engine", self._said)
        self._group("Retried", map(escape_commands, retried_lines(report)))
        self._group("Pushed", map(escape_commands, landed_lines(report, most=len(report.targets))))
        print(escape_commands(tally(report)))

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            print(escape_commands(line))

    def _set_outputs(self, values: Mapping[str, str]) -> None:
        if not self._environ.get("GITHUB_OUTPUT"):
            return  # without a runner the library would print commands for a runner only
        for name, value in values.items():
            core.set_output(name, value)

    def _summarise(self, text: str) -> None:
        if path := self._environ.get("GITHUB_STEP_SUMMARY"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)

    def _write(self, what: str, write: Callable[[], None]) -> None:
        """Write one thing; if that fails, say so in the log and continue."""
        try:
            write()
        except Exception as error:  # noqa: BLE001 - the library raises bare exceptions
            self._report_unwritten(unwritten(what, error))

    def _report_unwritten(self, sentence: str) -> None:
        core.error(
            escape_commands(f"{sentence}. The log has every result."),
            title="A result could not be written",
        )
