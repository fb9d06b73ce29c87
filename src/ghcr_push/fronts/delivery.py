"""What a run leaves behind on request, whichever way it was started: report file, artifacts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ghcr_push import tracing
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.planning.settings import Settings
from ghcr_push.reporting import outputs
from ghcr_push.reporting.artifacts import declaration
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import to_json
from ghcr_push.signals import Interruption

_ARTIFACTS: Final = "GITHUB_ARTIFACTS"
_DECLARED: Final = "GITHUB_ARTIFACTS_LIST"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report whose notices tell what delivering it found, too."""

    report: Report
    path: str
    """The report file as later steps find it; empty where none was asked for or written."""
    notices: tuple[str, ...]
    """What was left out of the artifacts."""
    undelivered: tuple[str, ...]
    """What was asked for and could not be written."""


def deliver(
    report: Report, settings: Settings, environ: Mapping[str, str], places: WorkspacePaths
) -> Delivery:
    """Declare artifacts and write the report file where ``settings`` ask for them; never raises."""
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
    """Return 0, 1 or, where a signal ended the run, 130 or 143.

    It is 1 also where all is well but for what could not be delivered.
    """
    if delivery.report.cancelled and interruption.exit_status is not None:
        return interruption.exit_status
    status = outputs.exit_status(delivery.report, fail_on_error=settings.fail_on_error)
    if delivery.undelivered and settings.fail_on_error:
        return status or 1
    return status


def unwritten(what: str, error: Exception) -> str:
    """Say that ``what`` could not be written; log a fault of ours with its traceback, too."""
    if not isinstance(error, OSError | ValueError) and type(error) is not Exception:
        tracing.fault(f"{what} could not be made", error)  # actions-toolkit raises mere Exceptions
    reason = getattr(error, "strerror", None) or tracing.described(error)
    return f"{what} could not be written: {reason}"


def _declare(report: Report, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Append what landed to the runner's file; return what is to be said of it."""
    declared = declaration(report, _declared(environ))
    if not declared.lines:
        return declared.notices
    path = environ.get(_ARTIFACTS)
    if not path:
        missing = (
            f"no artifact was declared: there is no {_ARTIFACTS} here, which runners have from "
            "2.336 on"
        )
        return (*declared.notices, missing)
    with Path(path).open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in declared.lines)
    return declared.notices


def _declared(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the digests by name that earlier steps declared; nothing where that cannot be read."""
    try:
        document = json.loads(Path(environ[_DECLARED]).read_bytes())
        return {str(each["name"]): str(each["digest"]) for each in document["subjects"]}
    except (KeyError, TypeError, ValueError, OSError):
        return {}
