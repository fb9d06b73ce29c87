"""Lists in the format of docker's actions: one entry per line, or separated by commas."""

import csv
import re

_LINE_END = re.compile(r"\r\n|\r|\n")


def split_list(text: str) -> list[str]:
    """Split ``text`` into its entries, without surrounding spaces and without empty ones.

    A comma inside double quotes does not separate, as in the lists of docker/actions-toolkit
    (``Util.getList``, which reads them as CSV). Unlike there, a quote never spans lines, so an
    unclosed quote affects its own line only.
    """
    entries = (field.strip() for line in _LINE_END.split(text) for field in _fields(line))
    return [entry for entry in entries if entry]


def _fields(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], skipinitialspace=True))
    except csv.Error:
        # longer than the parser accepts: no entry can be that long, and its caller reports it
        return [line]
