"""Reads ``action.yml``."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

ACTION: Final[dict[str, Any]] = YAML(typ="safe", pure=True).load(
    Path(__file__).resolve().parents[2] / "action.yml"
)
