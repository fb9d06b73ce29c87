"""JSON objects in outside text, which may be anything."""

import json
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
"""A JSON object; its readers check the values, or catch what those of wrong types raise."""

Fields = Mapping[str, Any]
"""The fields of a JSON object that is only read."""


def json_object(text: str | bytes) -> Document | None:
    """Return the JSON object in ``text``; None if there is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def as_dict(value: object) -> Document:
    """Return ``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:  # of any JSON
    """Return ``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []
