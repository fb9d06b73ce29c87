"""Parses ``WWW-Authenticate`` headers by the grammar of RFC 9110, section 11.6.1."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """An authentication scheme and its parameters; scheme and names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of RFC 9110, not a secret
_BETWEEN = re.compile(r"[\s,]*")
# Unquoted values are tokens in the RFC; some servers send whole URLs.
_PARAMETER = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[ \t]*(?:,|$))', re.DOTALL
)
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|$)(?:[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?")
_REST = re.compile(r"[^,]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Parse all ``WWW-Authenticate`` headers, each with any number of challenges.

    Any text is accepted: unknown parts are skipped up to the next comma.
    """
    return tuple(challenge for header in headers for challenge in _parse(header))


def _parse(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    place = 0
    while (place := _end(_BETWEEN, text, place)) < len(text):
        if found and (parameter := _PARAMETER.match(text, place)):
            name, quoted, plain = parameter.groups()
            value = _ESCAPED.sub(r"\1", quoted) if plain is None else plain
            parameters.setdefault(name.lower(), value)
            place = parameter.end()
        elif scheme := _SCHEME.match(text, place):
            parameters = {}
            found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
            place = scheme.end()
        else:
            place = max(_end(_REST, text, place), place + 1)
    return found


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    matched = pattern.match(text, place)
    return matched.end() if matched else place
