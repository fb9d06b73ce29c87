"""The runner's two parsers of commands in a log, and one of its file commands.

After actions/runner: ``ActionCommand.cs`` (``TryParseV2``, then ``TryParse``) and
``FileCommandManager.cs``.
"""

import re
from collections.abc import Iterator

# the runner's own: those registered by its command extensions
COMMANDS = frozenset(
    {
        *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group"),
        *("notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands"),
        "warning",
    }
)

# .NET's Char.IsWhiteSpace, which String.TrimStart drops
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def obeyed(line: str, registered: frozenset[str] = COMMANDS) -> str:
    """Return the name of the command that a runner would execute in this line; empty if none."""
    return _version_2(line, registered) or _version_1(line, registered)


def _version_2(line: str, registered: frozenset[str]) -> str:
    """Read ``::name key=value::data`` at the start of a line, white space before it aside."""
    text = line.lstrip(WHITE_SPACE)
    end = text.find("::", 2)
    if not text.startswith("::") or end < 0:
        return ""
    name = text[2:end].partition(" ")[0]
    return name if name in registered else ""


def _version_1(line: str, registered: frozenset[str]) -> str:
    """Read ``##[name key=value]data`` anywhere in a line."""
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return ""
    name = line[start + 3 : end].partition(" ")[0]
    return name if name in registered else ""


def lines_of(text: str) -> list[str]:
    """Split a log as .NET reads a process's output: at CR, LF, and both together."""
    return re.split(r"\r\n|\r|\n", text)


def file_values(text: str) -> Iterator[tuple[str, str]]:
    """Read an output file: ``name=value`` and ``name<<mark`` to ``mark``, each on lines."""
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, equals, value = line.partition("=")
        before, heredoc, mark = line.partition("<<")
        if equals and (not heredoc or len(name) < len(before)):
            yield name, value
            continue
        assert before, line
        assert mark, line
        collected = []
        for each in lines:
            if each == mark:
                break
            collected.append(each)
        else:
            raise AssertionError(f"the delimiter {mark!r} does not come")
        yield before, "\n".join(collected)
