"""Problems of the inputs: all are collected, each naming the input and the value."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# a person reads a list of ten; a value longer than a reference is recognised by its start
_SHOWN_PER_INPUT = 10
_SHOWN_OF_VALUE = 160
_SHOWN_IN_SENTENCE = 3
_USER_INFO = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of an input; as text, a sentence that says what to do.

    ``value`` is the offending part of the input, None if it is a secret or there is none.
    ``sentence`` is about it, starts with the verb and has no full stop.
    """

    input: str
    value: str | None = None
    sentence: str

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.input} {self.sentence}."
        return f"{self.input}: {quoted(self.value)} {self.sentence}."


class InputError(ValueError):
    """Bad input: all its problems, and the notices collected so far.

    The text has one line per problem, at most ten per input, then the number of the rest.
    """

    def __init__(self, problems: Iterable[Problem], notices: Iterable[str] = ()) -> None:
        self.problems = tuple(problems)
        self.notices = tuple(notices)
        super().__init__("\n".join(shown(self.problems)))


@dataclass(slots=True)
class Findings:
    """Problems and notices found so far in the inputs."""

    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def refuse(self, name: str, value: str | None, sentence: str) -> None:
        """Add a problem of the input ``name``."""
        self.problems.append(Problem(input=name, value=value, sentence=sentence))


def shown(problems: Iterable[Problem]) -> list[str]:
    """Format ``problems`` as lines, at most ten per input and a line that counts the rest."""
    by_input: dict[str, list[Problem]] = {}
    for problem in problems:
        by_input.setdefault(problem.input, []).append(problem)
    lines: list[str] = []
    for name, several in by_input.items():
        lines += map(str, several[:_SHOWN_PER_INPUT])
        if (more := len(several) - _SHOWN_PER_INPUT) > 0:
            lines.append(f"{name} has {more:,} more {'problem' if more == 1 else 'problems'}.")
    return lines


def quoted(value: str) -> str:
    """Quote ``value`` on one line, shortened if long, without a URL's user and password.

    Control characters are escaped, so that no value can look like a line of the log.
    """
    safe = _USER_INFO.sub("//***@", value)
    cut = safe if len(safe) <= _SHOWN_OF_VALUE else safe[:_SHOWN_OF_VALUE] + "…"
    return repr(cut)


def listed(values: Sequence[str]) -> str:
    """Format ``values`` as a list in words: the first three, then the number of the rest."""
    first = ", ".join(map(quoted, values[:_SHOWN_IN_SENTENCE]))
    more = len(values) - _SHOWN_IN_SENTENCE
    return f"{first} and {more:,} more" if more > 0 else first
