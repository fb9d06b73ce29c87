"""Outside text without what may be a secret: whatever a registry or a tool repeats of one."""

import re
from typing import Final

_HIDDEN: Final = "***"

_NAMES: Final = r"(?:password|passwd|secret|token|auth|authorization|api[_-]?key)"

_SECRETS: Final = (
    # what follows the question mark of an address: uploads and storage are signed there
    (re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*", re.IGNORECASE), rf"\1?{_HIDDEN}"),
    (re.compile(r"(https?://)[^/\s\"'<>@]+@", re.IGNORECASE), rf"\1{_HIDDEN}@"),
    (re.compile(r"\b(basic|bearer) +[\w+/=.~-]{12,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    # named as one: any value in quotes, and bare ones that look like no word
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
    # tokens by their looks: JSON web tokens, GitHub's, GitLab's, Docker's, Amazon's
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), _HIDDEN),
    (re.compile(r"\b(?:gh[a-z]_|github_pat_|glpat-|dckr_[a-z]+_)[\w-]{8,}"), _HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), _HIDDEN),
)


def without_secrets(text: str) -> str:
    """Return ``text`` with all that looks like a secret hidden."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text
