"""A report as a self-contained HTML page: no network, no script, light and dark."""

import html
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.summary import summary
from ghcr_push.reporting.svg import svg

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1f2328; --line: #d1d9e0; --row: #f6f8fa;
  --link: #0969da; --request: #2da44e; --failed: #e5534b; --wait: #9ea7b3; --limit: #54aeff }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #f0f6fc; --line: #3d444d;
  --row: #151b23; --link: #4493f8 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1012px; padding: 24px 32px; background: var(--back);
  color: var(--text); overflow-wrap: break-word;
  font: 14px/1.5 system-ui, "Segoe UI", "Liberation Sans", "Noto Color Emoji", sans-serif }
h2, h3 { line-height: 1.25; margin: 24px 0 16px }
h2 { border-bottom: 1px solid var(--line); padding-bottom: 6px; margin-top: 0 }
table { border-collapse: collapse; display: block; max-width: 100%; overflow: auto;
  margin-bottom: 16px }
th, td { border: 1px solid var(--line); padding: 6px 13px; text-align: left }
tr:nth-child(2n) td { background: var(--row) }
code { font: 85% ui-monospace, "Liberation Mono", monospace; background: #818b981f;
  border-radius: 6px; padding: .2em .4em; white-space: break-spaces }
pre { background: var(--row); border-radius: 6px; padding: 12px 16px; overflow: auto }
pre code { background: none; padding: 0; white-space: pre }
a { color: var(--link) }
summary { cursor: pointer }
.timeline { max-width: 100%; height: auto; font-size: 11px; fill: var(--text) }
.timeline .tick { stroke: var(--line) } .timeline text.tick { stroke: none; opacity: .7 }
.timeline .request rect { fill: var(--request) } .timeline .failed rect { fill: var(--failed) }
.timeline .down rect { fill: var(--failed) } .timeline .band { fill: var(--failed); opacity: .2 }
.timeline .wait rect { fill: var(--wait) } .timeline .limit rect { fill: var(--limit) }
.timeline g text { fill: #0d1117 }
.timeline g:focus { outline: none } .timeline g:focus rect { stroke: var(--text); stroke-width: 2 }
"""


def page(report: Report, guide: str = "") -> str:
    """Return the job summary as a page with its timeline as an SVG."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

    def fence(_: RendererHTML, tokens: Sequence[Token], index: int, *_rest: object) -> str:
        if tokens[index].info == "mermaid":
            return svg(report)
        return f"<pre><code>{html.escape(tokens[index].content)}</code></pre>\n"

    parser.add_render_rule("fence", fence)
    title = html.escape(headline(report))
    body = parser.render(summary(report, guide=guide))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><main>\n{body}</main></body></html>\n"
    )
