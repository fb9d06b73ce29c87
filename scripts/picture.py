"""Draw a job summary as GitHub would show it: ``picture.py SUMMARY.md OUT.png``.

Needs a headless Chromium in ``CHROMIUM`` and Mermaid's ``mermaid.min.js`` in ``MERMAID_JS``; both
come from ``scripts/chromium-get``. Nothing is loaded from a network.
"""

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# the style of GitHub's summaries, similar enough to check a layout
STYLE = """
* { box-sizing: border-box }
body { margin: 0; overflow-wrap: break-word; padding: 24px 32px; width: 1012px;
  background: #fff; color: #1f2328;
  font: 14px/1.5 -apple-system, "Segoe UI", "Liberation Sans", "Noto Color Emoji", sans-serif }
h2, h3 { font-weight: 600; line-height: 1.25; margin: 24px 0 16px }
h2 { font-size: 21px; padding-bottom: 6px; border-bottom: 1px solid #d1d9e0b3; margin-top: 0 }
h3 { font-size: 17.5px }
p, table, ul, details { margin: 0 0 16px }
ul { padding-left: 28px }
table { border-collapse: collapse; display: block; width: max-content; max-width: 100%;
  overflow: auto }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px; text-align: left }
tr:nth-child(2n) td { background: #f6f8fa }
code { font: 85% ui-monospace, "Liberation Mono", monospace; background: #818b981f;
  border-radius: 6px; padding: .2em .4em; white-space: break-spaces }
a { color: #0969da }
pre.code { background: #f6f8fa; border-radius: 6px; padding: 16px; margin: 0 0 16px;
  font: 85%/1.45 ui-monospace, "Liberation Mono", monospace; overflow: auto }
"""

DARK = """
body { background: #0d1117; color: #f0f6fc }
th, td { border-color: #3d444d }
tr:nth-child(2n) td { background: #151b23 }
code { background: #656c7633 }
a { color: #4493f8 }
pre.code { background: #151b23 }
"""

# the title passes the page's height on, which is known when all diagrams are drawn
SCRIPT = """
mermaid.initialize({startOnLoad: false, securityLevel: "strict", theme: "THEME"});
mermaid.run().finally(() => { document.title = `height ${document.body.scrollHeight}` });
"""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
"""Options for Chromium without a desktop, as root and without requests of its own."""

WIDTH = 1012
TALLEST = 16_000
SECONDS = 120


def page(markdown: str, mermaid: Path, *, opened: bool, dark: bool) -> str:
    """Return the HTML page of a summary; ``opened`` unfolds its folded parts."""
    body = _markdown().render(markdown)
    if opened:
        body = body.replace("<details>", "<details open>")
    style = STYLE + DARK if dark else STYLE
    script = SCRIPT.replace("THEME", "dark" if dark else "default")
    return (
        f'<!doctype html><meta charset="utf-8"><style>{style}</style><body>{body}'
        f'<script src="{mermaid.resolve().as_uri()}"></script><script>{script}</script>'
    )


def _markdown() -> MarkdownIt:
    """Return a parser of GitHub's Markdown that passes diagrams to Mermaid."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("fence", _fence)
    return parser


def _fence(
    _: RendererHTML, tokens: list[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    kind = "mermaid" if tokens[index].info.strip() == "mermaid" else "code"
    return f'<pre class="{kind}">{html.escape(tokens[index].content)}</pre>'


def draw(chromium: str, address: str, out: Path) -> None:
    """Take a picture of the whole page at ``address``, up to ``TALLEST`` pixels."""
    dump = _run(chromium, f"--window-size={WIDTH},800", "--dump-dom", address)
    found = re.search(r"<title>height (\d+)</title>", dump)
    if found is None:
        raise SystemExit("the page did not finish drawing")
    if "Syntax error in text" in dump:
        raise SystemExit("Mermaid does not understand a diagram of the summary")
    height = min(int(found[1]) + 1, TALLEST)
    _run(chromium, f"--window-size={WIDTH},{height}", f"--screenshot={out.resolve()}", address)
    if not out.is_file():
        raise SystemExit(f"{chromium} took no picture")


def _run(chromium: str, *arguments: str) -> str:
    """Run Chromium with a temporary profile; return its output."""
    with tempfile.TemporaryDirectory() as profile:
        own = (f"--user-data-dir={profile}", "--virtual-time-budget=20000")
        done = subprocess.run(
            [chromium, *FLAGS, *own, *arguments],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{chromium} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description="Draw a job summary as a picture.")
    parser.add_argument("summary", type=Path, help="the summary, Markdown")
    parser.add_argument("out", type=Path, help="the picture, PNG")
    parser.add_argument("--opened", action="store_true", help="unfold what is folded")
    parser.add_argument("--dark", action="store_true", help="in the colours of a dark page")
    given = parser.parse_args()
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    mermaid = Path(os.environ.get("MERMAID_JS", ""))
    if chromium is None or not mermaid.is_file():
        sys.exit('CHROMIUM or MERMAID_JS is not there; try: eval "$(scripts/chromium-get)"')
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "summary.html")
        markdown = given.summary.read_text("utf-8")
        source.write_text(page(markdown, mermaid, opened=given.opened, dark=given.dark), "utf-8")
        draw(chromium, source.as_uri(), given.out)
    print(given.out)


if __name__ == "__main__":
    main()
