"""Results that a run writes on request, for every entry point: report file, artifacts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ghcr_push import tracing
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.model import Result
from ghcr_push.planning.settings import Settings
from ghcr_push.reporting.artifacts import declaration
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import to_json
from ghcr_push.signals import Interruption

BAD_INPUT: Final = 2
"""Exit status of a run that was refused before its first request; click's own for bad usage."""

_ARTIFACTS: Final = "GITHUB_ARTIFACTS"
_DECLARED: Final = "GITHUB_ARTIFACTS_LIST"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report with the notices from its delivery."""

    report: Report
    path: str
    """The path of the report file for later steps; empty if there is none."""
    notices: tuple[str, ...]
    """Notices about artifacts that were left out."""
    undelivered: tuple[str, ...]
    """Requested results that could not be written."""


def deliver(
    report: Report, settings: Settings, environ: Mapping[str, str], places: WorkspacePaths
) -> Delivery:
    """Declare artifacts and write the report file if ``settings`` request them; never raises."""
    notices: tuple[str, ...] = ()
    undelivered: list[str] = []
    if settings.declare_artifacts:
        try:
            notices = _declare(report, environ)
        except Exception as error:  # noqa: BLE001 - costs the artifacts, and nothing else
            undelivered.append(unwritten("the artifacts", error))
    report = replace(report, notices=[*report.notices, *notices, *undelivered])
    path = ""
    if given := settings.report_file:
        try:
            places.write(given, to_json(report))
            path = places.seen_later(given)
        except Exception as error:  # noqa: BLE001 - costs the report, and nothing else
            sentence = unwritten(given, error)
            undelivered.append(sentence)
            report = replace(report, notices=[*report.notices, sentence])
    return Delivery(report, path, notices, tuple(undelivered))


def exit_status(delivery: Delivery, settings: Settings, interruption: Interruption) -> int:
    """Return 130 or 143 after a signal; else 1 if a failure counts by ``fail-on-error``, or 0.

    A failure is a target that failed or was skipped, or a requested result that was not written.
    """
    if delivery.report.cancelled and interruption.exit_status is not None:
        return interruption.exit_status
    bad = delivery.report.result is not Result.SUCCESS or delivery.undelivered
    return int(settings.fail_on_error and bool(bad))


def unwritten(what: str, error: Exception) -> str:
    """Report that ``what`` could not be written; log an internal error with its traceback, too."""
    if not isinstance(error, OSError | ValueError) and type(error) is not Exception:
        tracing.fault(f"{what} could not be made", error)  # actions-toolkit raises plain Exceptions
    reason = getattr(error, "strerror", None) or tracing.described(error)
    return f"{what} could not be written: {reason}"


def _declare(report: Report, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Append what landed to the runner's file; return notices about it."""
    declared = declaration(report, _declared(environ))
    if not declared.lines:
        return declared.notices
    path = environ.get(_ARTIFACTS)
    if not path:
        missing = f"no artifact was declared: {_ARTIFACTS} is not set; runners set it from 2.336 on"
        return (*declared.notices, missing)
    with Path(path).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in declared.lines)
    return declared.notices


def _declared(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the digests by name that earlier steps declared; empty if they cannot be read."""
    try:
        document = json.loads(Path(environ[_DECLARED]).read_bytes())
        return {str(each["name"]): str(each["digest"]) for each in document["subjects"]}
    except (KeyError, TypeError, ValueError, OSError):
        return {}
