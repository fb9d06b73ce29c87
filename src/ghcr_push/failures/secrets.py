"""Removes possible secrets from outside text, such as a registry's or a tool's error."""

import re
from typing import Final

_HIDDEN: Final = "***"

_NAMES: Final = r"(?:password|passwd|secret|token|auth|authorization|api[_-]?key)"

_SECRETS: Final = (
    # the query of a URL: upload and storage URLs are signed there
    (re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*", re.IGNORECASE), rf"\1?{_HIDDEN}"),
    (re.compile(r"(https?://)[^/\s\"'<>@]+@", re.IGNORECASE), rf"\1{_HIDDEN}@"),
    (re.compile(r"\b(basic|bearer) +[\w+/=.~-]{12,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    # named as a secret: any value in quotes, and unquoted values that do not look like words
    (
        re.compile(rf"""({_NAMES}["']?\s*[:=]\s*["'])(?!https?:)[^"'\s]+""", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
    (
        re.compile(
            rf"({_NAMES}\s*[:=]\s*)(?!https?:)(?=[^\s,;&]*\d)[^\s\"',;&]{{6,}}", re.IGNORECASE
        ),
        rf"\1{_HIDDEN}",
    ),
    # tokens by their form: JSON web tokens, GitHub's, GitLab's, Docker's, Amazon's
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), _HIDDEN),
    (re.compile(r"\b(?:gh[a-z]_|github_pat_|glpat-|dckr_[a-z]+_)[\w-]{8,}"), _HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), _HIDDEN),
)


def without_secrets(text: str) -> str:
    """Return ``text`` with everything that looks like a secret masked."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text
