"""Draw the job summaries of a dozen stories: ``stories.py FOLDER [NAME…]``.

Each in light and in dark, folded as GitHub shows it first and unfolded. Needs what ``picture.py``
needs.
"""

import subprocess
import sys
from pathlib import Path

from tests.support.stories import STORIES

from ghcr_push.reporting.summary import summary

GUIDE = "https://github.com/OWNER/ghcr-push-action/blob/v1/docs/failures.md"


def main() -> None:
    """Draw the named stories, or all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or STORIES:
        source = folder / f"{name}.md"
        text = summary(STORIES[name](), guide=GUIDE)
        source.write_text(text, encoding="utf-8")
        for fold, opened in (("", []), ("-unfolded", ["--opened"])):
            if opened and "<details" not in text:
                continue
            for shade, dark in (("light", []), ("dark", ["--dark"])):
                picture = folder / f"{name}{fold}-{shade}.png"
                options = [*opened, *dark, str(source), str(picture)]
                subprocess.run([sys.executable, "scripts/picture.py", *options], check=True)


if __name__ == "__main__":
    main()
