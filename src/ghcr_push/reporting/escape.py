"""Escapes outside text (tags, server messages, notices) for Markdown, Mermaid and terminals.

Tables, code and links are those of GitHub Flavored Markdown. GitHub's later processing (mentions,
issue numbers, commits, emoji) leaves ``<code>`` alone.
"""

import re
import unicodedata
from collections.abc import Callable

_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that move a cursor, hide, reorder or break a line, or cannot be encoded."""

_ENTITIES = {ord(c): f"&#{ord(c)};" for c in '&<>"`|*_~[]#$\\@'}
"""Characters that start something in GFM, HTML or GitHub's additions; an entity starts nothing."""

# GFM's links without brackets, and GitHub's emoji by name
_LINK = re.compile(r"(?<=www)\.|:(?=//|[a-z0-9_+-]+:)", re.IGNORECASE)
_BLOCK = re.compile(r"[\s+=-]|[0-9]+[.)]")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LOUD_WORD = re.compile(r"([^\s`]*[@#][^\s`]*)")
_URL = re.compile(r"(https://[A-Za-z0-9.-]+(?:/[A-Za-z0-9/_.~-]*[A-Za-z0-9/_~-])?)")
_NOT_IN_MERMAID = re.compile(r"[^A-Za-z0-9 ._/+\N{RATIO}-]")


def visible(text: str) -> str:
    r"""Return ``text`` with all that controls or hides shown as ``\n``, ``\x1b``, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _CONTROLS else c
        for c in text
    )


def escape(text: str) -> str:
    """Return Markdown on one line, safe in a table cell too, that shows ``visible(text)``."""
    return _begun_and_ended(_escape_inside(text))


def code(text: str) -> str:
    """Return ``text`` as inline code."""
    return f"<code>{_escape_inside(text)}</code>"


def prose(sentence: str) -> str:
    """Return one of our sentences, which may quote outside text; `` `words` `` become code.

    A word with ``@`` or ``#`` becomes code too, so that it mentions nobody.
    """
    return _begun_and_ended(_worded(sentence))


def advice(sentence: str) -> str:
    """Return advice as ``prose`` with its ``https`` addresses as links; for our own texts only."""
    return _begun_and_ended(
        _split(_URL, sentence, lambda url: f'<a href="{url}">{_escape_inside(url)}</a>', _worded)
    )


def mermaid(text: str) -> str:
    """Return ``text`` as a Mermaid label: letters, digits, blanks and ``._/+-``, never empty.

    Mermaid has no escapes there; a colon becomes a similar character, others a dot.
    """
    return _NOT_IN_MERMAID.sub("·", text.replace(":", "\N{RATIO}")).strip() or "·"


def clipped(text: str, most: int) -> str:
    """Return ``text``, shortened with an ellipsis to ``most`` characters of UTF-16.

    UTF-16, because that is how the runner counts.
    """
    if utf16_length(text) <= most:
        return text
    raw = text.encode("utf-16-le", "surrogatepass")[: 2 * (most - 1)]
    return raw.decode("utf-16-le", "ignore") + "…"


def utf16_length(text: str) -> int:
    """Return the length of ``text`` as a runner counts it."""
    return len(text) + sum(c > "\uffff" for c in text)


def _escape_inside(text: str) -> str:
    """Return Markdown for ``text`` in the middle of a line."""
    shown = visible(text).translate(_ENTITIES)
    escaped = _LINK.sub(lambda match: f"&#{ord(match[0])};", shown)
    # GFM looks for e-mail addresses after decoding entities; a comment breaks them up
    return escaped.replace("&#64;", "<!-- -->&#64;")


def _begun_and_ended(escaped: str) -> str:
    """Return ``escaped`` so that it starts no list or heading and keeps blanks at its ends."""
    if len(escaped) > 1 and escaped[-1].isspace():
        escaped = f"{escaped[:-1]}&#{ord(escaped[-1])};"
    if _BLOCK.match(escaped):
        escaped = f"&#{ord(escaped[0])};{escaped[1:]}"
    return escaped


def _worded(text: str) -> str:
    return _split(
        _CODE_SPAN, text, code, lambda rest: _split(_LOUD_WORD, rest, code, _escape_inside)
    )


def _split(
    pattern: re.Pattern[str],
    text: str,
    matched: Callable[[str], str],
    between: Callable[[str], str],
) -> str:
    """Return ``text`` with what the only group of ``pattern`` matches and the rest transformed."""
    return "".join(
        matched(part) if number % 2 else between(part)
        for number, part in enumerate(pattern.split(text))
    )
