"""The JSON report: everything known of a run, for machines; and its published schema.

``python -m ghcr_push.reporting.report`` prints the schema, kept as ``docs/report.schema.json``.
"""

import json
import sys
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from ghcr_push.documents import Document
from ghcr_push.reporting.records import Report

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:ghcr-push:report:1"


class UnreadableReportError(Exception):
    """The text is not a report of a known version; the message says why."""


def to_json(report: Report) -> bytes:
    """Return ``report`` as JSON in UTF-8 by the published schema, indented, with a newline."""
    text = json.dumps(report, default=_record, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _record(record: Any) -> Document:  # any dataclass; ``json`` passes what it does not know
    return {each.name: getattr(record, each.name) for each in fields(record)}


def from_json(text: bytes) -> Report:
    """Return the report that ``to_json`` wrote; raise ``UnreadableReportError``."""
    from pydantic import ValidationError  # noqa: PLC0415 - see ``_adapter``

    try:
        report = _adapter().validate_json(text)
        for target in report.targets:
            _ = target.parsed  # renderers rely on that
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise UnreadableReportError(
            f"not a report of ghcr-push: {place}: {first['msg']}"
        ) from error
    except ValueError as error:
        raise UnreadableReportError(f"not a report of ghcr-push: {error}") from error
    return report


def json_schema() -> Document:
    """Return the JSON Schema (draft 2020-12) of ``to_json``'s output."""
    schema = _adapter().json_schema(mode="serialization")
    for each in (schema, *schema["$defs"].values()):
        if "properties" in each:  # all are written; reports of earlier releases may lack some
            each["required"] = list(each["properties"])
    return {"$schema": _DIALECT, "$id": _ID, **schema, "title": "ghcr-push report"}


@cache
def _adapter() -> "TypeAdapter[Report]":
    # imported late: it takes a tenth of a second, and a run only writes reports
    from pydantic import TypeAdapter  # noqa: PLC0415 - see the line above

    return TypeAdapter(Report)


if __name__ == "__main__":
    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
