"""Reading ``tags-file``: a list that is too long for an environment variable."""

import stat
from pathlib import Path
from typing import Final

from ghcr_push.planning.problems import Findings

NAME: Final = "tags-file"

LARGEST: Final = 8 * 1024 * 1024
"""Maximum size in bytes: 150,000 lines of 55 characters, many more than a job can push."""

_WHERE: Final = "give the path of a text file, relative to the workspace"


def read_tags_file(given: str, path: Path, findings: Findings) -> str | None:
    """Return the text at ``path``, shown as ``given``; on an error, report it and return None.

    A byte order mark is dropped; line ends of any kind are allowed. Pipes and devices are rejected,
    since reading them may never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            findings.refuse(NAME, given, "is not a regular file; give the path of a text file")
            return None
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        findings.refuse(NAME, given, f"cannot be read: {error.strerror}; {_WHERE}")
        return None
    except ValueError:  # a character that no path may contain
        findings.refuse(NAME, given, f"is not a path; {_WHERE}")
        return None
    if len(content) > LARGEST:
        findings.refuse(NAME, given, f"is larger than {LARGEST >> 20} MiB; split the run in two")
        return None
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        findings.refuse(NAME, given, f"is not UTF-8 text (byte {error.start:,}); save it as UTF-8")
        return None
