"""Draw the job summaries of the stories that the tests tell: ``stories.py FOLDER [NAME…]``.

Each in light and in dark, with what is folded unfolded. Needs what ``picture.py`` needs.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support import reports

from ghcr_push.reporting.records import Report
from ghcr_push.reporting.summary import summary

STORIES: Final[dict[str, Callable[[], Report]]] = {
    "one-tag": lambda: reports.all_good(1),
    "clean": lambda: reports.all_good(20),
    "clean-200": lambda: reports.all_good(200),
    "retried": reports.retried_run,
    "faults-200": lambda: reports.retried_run(200),
    "partly-failed": reports.partly_failed,
    "all-failed": reports.all_failed,
    "cancelled": reports.cancelled_run,
    "dry-run": reports.dry_run,
    "hostile": reports.hostile_run,
}


def main() -> None:
    """Draw the stories named, or all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or STORIES:
        source = folder / f"{name}.md"
        source.write_text(summary(STORIES[name]()), encoding="utf-8")
        for shade, options in (("light", []), ("dark", ["--dark"])):
            picture = folder / f"{name}-{shade}.png"
            command = [sys.executable, "scripts/picture.py", *options, str(source), str(picture)]
            subprocess.run(command, check=True)
        source.unlink()


if __name__ == "__main__":
    main()
