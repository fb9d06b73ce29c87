"""The summary reports the run correctly, failures first, within GitHub's limits."""

import re
from collections import Counter
from dataclasses import replace
from html import unescape

import pytest
from hypothesis import given
from tests.support.rendered import Rendered
from tests.support.reports import (
    APP,
    HOSTILE,
    OPS,
    SERVER_ERROR,
    all_failed,
    all_good,
    cancelled_run,
    digest,
    dry_run,
    failure,
    hostile_run,
    huge,
    not_landed,
    partly_failed,
    pushed,
    report,
    reports,
    retried_run,
    target,
    tried,
)
from tests.support.stories import STORIES

from ghcr_push.model import Hold, Kind, Outcome, Step, TargetResult
from ghcr_push.references import Digest, Repository
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.summary import MOST_BYTES, summary

ELEMENTS = {
    *("h2", "h3", "p", "strong", "code", "br", "a", "i", "pre", "ul", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}


def sections(markdown: str) -> dict[str, str]:
    """Return the text under each heading, the first part under the headline."""
    parts = re.split(r"^#{2,3} (.*)$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def headline(subject: Report) -> str:
    return summary(subject).splitlines()[0]


def named(markdown: str) -> Counter[str]:
    """Return how often each target is named in a table's first column or a list of tags."""
    found: Counter[str] = Counter()
    repository = ""
    for line in markdown.replace("<!-- -->", "").splitlines():
        if heading := re.fullmatch(
            r"(?:<a [^>]+>)?<code>(\S+)</code>(?:</a>)? · [\d,]+ tags?.*", line
        ):
            repository = unescape(heading[1])
            continue
        if block := re.match(r".* · [\d,]+ tags? of <code>(\S+?)</code>", line):
            repository = unescape(block[1])
        if row := re.match(r"\| <code>(\S+?)</code> \|", line):
            names = [row[1]]
        elif re.match(r"<code>\S+?</code>(, | · |$)", line):
            names = re.findall(r"<code>(\S+?)</code>", line.partition(" · ")[0])
        else:
            continue
        for name in map(unescape, names):
            found[name if "/" in name else f"{repository}:{name}"] += 1
    return found


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        (all_good(1), "## ✅ 1 of 1 tag pushed in 0.7 s"),
        (all_good(20), "## ✅ 20 of 20 tags pushed in 5.3 s"),
        (retried_run(20), "## ✅ 20 of 20 tags pushed in 8.3 s: 4 tags were retried"),
        (
            partly_failed(20),
            "## ❌ 3 of 20 tags failed: denied (403), timeout; 17 pushed in 24.7 s",
        ),
        (all_failed(20), "## ❌ None of 20 tags was pushed in 2.5 s: denied (403)"),
        (
            cancelled_run(20),
            "## 🛑 Cancelled after 4.7 s: 12 of 20 tags pushed, 3 failed, 5 skipped",
        ),
        (dry_run(20), "## 📝 Dry run: 20 of 20 tags would be pushed, nothing was written"),
        (report(()), "## ✅ Nothing to push: no tags were given"),
        (
            report([pushed(target("1"), before=digest(1)), pushed(target("2"), before=digest(1))]),
            "## ✅ Nothing to do: both tags name their images already (0.2 s)",
        ),
        (
            report([pushed(target("1"), verified=False), pushed(target("2"))]),
            "## ✅ 2 of 2 tags pushed in 0.7 s: 1 not read back",
        ),
        (
            report(
                [
                    pushed(target("1")),
                    not_landed(target("2"), failure(Kind.FAIL_FAST), outcome=Outcome.SKIPPED),
                ]
            ),
            "## ❌ 1 of 2 tags skipped: fail-fast; 1 pushed in 0.7 s",
        ),
    ],
    ids=[
        *("one", "twenty", "retried", "partly", "failed", "cancelled", "dry", "nothing"),
        *("unchanged", "unverified", "skipped"),
    ],
)
def test_the_headline_summarises_the_run(subject: Report, line: str) -> None:
    assert headline(subject) == line


@given(reports)
def test_counts_are_those_of_the_run(subject: Report) -> None:
    markdown = summary(subject)
    facts = Rendered(markdown.split("\n\n")[1]).text if subject.targets else ""
    counted = [fact.split(" ") for fact in facts.strip().split(" · ")]
    for outcome in Outcome:
        number = subject.counts[outcome]
        assert ([str(number), outcome.value] in counted) == (number > 0)
    for title, number in (
        ("❌ Failed", subject.counts[Outcome.FAILED]),
        ("⏭️ Skipped, never tried", subject.counts[Outcome.SKIPPED]),
        ("🔁 Pushed after retries", sum(result.retried for result in subject.landed)),
        (
            "✅ Pushed at the first try"
            if any(result.retried for result in subject.landed)
            else "✅ Pushed",
            sum(not result.retried for result in subject.landed),
        ),
        ("📝 Would be pushed", subject.counts[Outcome.PLANNED]),
    ):
        heading = f"### {title} — {number} tag{'' if number == 1 else 's'}\n"
        assert (heading in markdown) == (number > 0)


@given(reports)
def test_the_headline_counts_the_run(subject: Report) -> None:
    line = headline(subject)
    for outcome in (Outcome.FAILED, Outcome.SKIPPED):
        number = subject.counts[outcome]
        markdown = re.findall(rf"(\d+)(?: of \d+ tags?)? {outcome}", line)
        all_alike = number == len(subject.targets) and not subject.cancelled
        assert markdown == ([str(number)] if number and not all_alike else [])
    landed = re.findall(r"(\d+)(?: of \d+ tags?)? pushed", line)
    assert landed in ([], [str(len(subject.landed))])


@given(reports)
def test_every_target_has_one_row(subject: Report) -> None:
    assert named(summary(subject)) == Counter(result.reference for result in subject.targets)


@pytest.mark.parametrize("name", STORIES)
def test_every_story_names_each_of_its_tags_once(name: str) -> None:
    subject = STORIES[name]()
    markdown = summary(subject)
    assert named(markdown) == Counter(result.reference for result in subject.targets)
    assert len(markdown) < 30_000


@given(reports)
def test_nothing_breaks_out(subject: Report) -> None:
    shown = Rendered(summary(subject, protected=True))
    assert set(shown.elements) <= ELEMENTS
    assert all(0 < len(row) < 5 for row in shown.rows)


def test_failures_come_first() -> None:
    headings = [heading.partition(" — ")[0] for heading in sections(summary(cancelled_run()))]
    assert headings[1:] == [
        "❌ Failed",
        "⏭️ Skipped, never tried",
        "✅ Pushed",
    ]
    headings = [heading.partition(" — ")[0] for heading in sections(summary(partly_failed()))]
    assert headings[1:] == [
        "❌ Failed",
        "🔁 Pushed after retries",
        "✅ Pushed at the first try",
        "⏱️ Timeline",
    ]


def test_failures_are_grouped_by_cause_with_what_to_do() -> None:
    markdown = Rendered(sections(summary(partly_failed()))["❌ Failed — 3 tags"])
    assert "denied (403) · 2 tags" in markdown.text
    assert "denied: permission_denied: write_package" in markdown.text
    assert "👉 Give the account permission to push there." in markdown.text
    assert "1.0.9, 1.1.0 · 1 attempt" in markdown.text
    assert (
        "1.0.5 · 5 attempts in 21.5 s: 4 \N{MULTIPLICATION SIGN} server-error (500) on tag write "
        "over 10.7 s → timeout on tag write · ⚠️ may have landed"
    ) in markdown.text


def test_ends_of_the_run_come_after_other_causes() -> None:
    results = [not_landed(target(f"{n}"), failure(Kind.CANCELLED)) for n in range(3)]
    markdown = summary(report([*results, not_landed(target("x"), failure(Kind.DENIED))]))
    assert markdown.index("**denied**") < markdown.index("**cancelled**")


def test_different_words_for_one_cause_stand_with_each_target() -> None:
    rows = Rendered(
        summary(report(not_landed(target(w), failure(Kind.NETWORK, w)) for w in ("eof", "reset")))
    ).rows
    assert rows[0] == ["Tag", "What was tried", "What was said"]
    assert [row[2] for row in rows[1:]] == ["eof", "reset"]


def test_retries_are_reported_by_cause() -> None:
    assert (
        "4 tags were retried: 3 \N{MULTIPLICATION SIGN} server-error (500) on tag write; "
        "1 \N{MULTIPLICATION SIGN} secondary-limit (403) on tag write."
    ) in summary(retried_run())


def test_retried_targets_have_causes_waits_and_what_was_there() -> None:
    rows = Rendered(sections(summary(retried_run()))["🔁 Pushed after retries — 4 tags"]).rows
    times = "\N{MULTIPLICATION SIGN}"
    assert rows[:3] == [
        ["Tag", "Before", "What was retried"],
        ["1.0.3", "new", "server-error (500) on tag write, waited 1.3 s"],
        [
            "1.0.7",
            f"moved from {digest(7)[:19]}",
            f"2 {times} server-error (500) on tag write over 2.1 s",
        ],
    ]


def test_the_statuses_and_steps_of_a_kind_are_shown_together() -> None:
    times = "\N{MULTIPLICATION SIGN}"
    markdown = f"12 {times} server-error (503, 500, 502), 9 on tag write, 3 on upload."
    assert f"5 tags and 1 layer were retried: {markdown}" in summary(STORIES["partly-failed"]())


def test_a_single_retry_is_one() -> None:
    assert "51 attempts, 1 retry among them" in summary(STORIES["five-jobs"]())


def test_a_wait_is_the_one_until_the_next_try() -> None:
    result = pushed(target("1"), failures=(SERVER_ERROR,))
    first, second = result.attempts
    queued = replace(result, attempts=(first, replace(second, started=40.4)))
    assert "server-error (500) on tag write, waited 40.0 s" in summary(report([queued]))


def test_equal_failures_of_one_moment_have_no_length() -> None:
    first, again = tried([SERVER_ERROR], started=0.0, step=Step.UPLOAD)
    failed = replace(first, seconds=0.01)
    result = replace(
        pushed(target("1")), retried=True, content_attempts=(failed, replace(failed), again)
    )
    text = summary(report([result]))
    assert "2 \N{MULTIPLICATION SIGN} server-error (500) on upload" in text
    assert " over " not in text


def test_tags_whose_layers_alone_were_retried_are_told_apart_in_the_heading() -> None:
    both, tags = STORIES["retried-layers"](), retried_run()
    assert "### 🔁 Pushed after retries of the tag or its layers — " in summary(both)
    assert "### 🔁 Pushed after retries — " in summary(tags)


def test_a_wait_of_a_layer_is_that_until_its_own_next_try() -> None:
    once, again = tried([SERVER_ERROR], started=0.0, step=Step.UPLOAD)  # waits 1.3 s
    other = replace(again, started=0.9)  # the second try of another layer
    content = (once, other, replace(again, started=2.4))
    result = replace(pushed(target("1")), content_attempts=content, seed=True, retried=True)
    assert "server-error (500) on upload, waited 2.0 s" in summary(report([result]))


def test_the_registrys_text_does_not_break_the_headline() -> None:
    hold = Hold(at=0.0, registry="ghcr.io", seconds=60.0, reason=HOSTILE)
    subject = replace(report([pushed(target("1"))]), holds=[hold])
    (title,) = re.findall(r"^## .*$", summary(subject), re.MULTILINE)
    assert not re.search(r"[<>`*]|\]\(", title)


def test_advice_that_stands_above_is_not_repeated() -> None:
    assert summary(STORIES["cancelled"]()).count("Run the job again") == 1


def test_landed_targets_say_what_the_tag_named_before() -> None:
    results = [
        pushed(target("new")),
        pushed(target("moved"), before=digest(7)),
        pushed(target("kept"), before=digest(1)),
        pushed(target("trusted"), verified=False),
        TargetResult(
            target=target("unread"), outcome=Outcome.PUSHED, digest=digest(1), verified=True
        ),
    ]
    markdown = summary(report(results))
    assert Rendered(markdown).rows[1:] == [
        ["new", "new"],
        ["moved", f"moved from {digest(7)[:19]}"],
        ["kept", "unchanged"],
        ["trusted", "new · ⚠️ not verified"],
        ["unread", "not read"],
    ]
    assert f"{APP} · 5 tags · {digest(1)[:19]}" in Rendered(markdown).text
    assert "**not verified**" in markdown


def test_several_digests_in_a_repository_have_a_column() -> None:
    results = [pushed(target("1"), content=digest(1)), pushed(target("2"), content=digest(2))]
    markdown = Rendered(summary(report(results)))
    assert markdown.rows[0] == ["Tag", "Digest", "Before"]
    assert f"{APP} · 2 tags" in markdown.text


@pytest.mark.parametrize(("number", "folded"), [(10, 0), (11, 1)])
def test_long_tables_are_folded(number: int, folded: int) -> None:
    assert summary(all_good(number)).count("<details>") == folded


def test_a_dry_run_shows_where_the_content_would_come_from() -> None:
    markdown = Rendered(summary(dry_run(4))).text
    assert f"{APP} · 2 tags\n1.0.0, 1.0.2 · app:build · not read\n" in markdown
    assert f"{OPS} · 2 tags\n1.0.1, 1.0.3 · app:build · not read\n" in markdown


def test_the_picture_is_folded_away_where_all_went_well() -> None:
    assert "<summary>⏱️ Timeline</summary>" in summary(retried_run())
    assert "### ⏱️ Timeline" in summary(partly_failed())


def test_the_history_of_the_limit_is_shown() -> None:
    markdown = Rendered(summary(retried_run())).text
    assert (
        "Parallel writes to ghcr.io: from 4 to 2 at 3.1 s, server error (500); "
        "to 3 at 5.0 s, writes succeed; to 4 at 7.4 s, writes succeed."
    ) in markdown
    assert (
        "The whole queue waited 1.2 s from 4.6 s on, as ghcr.io asked: secondary rate limit."
    ) in markdown


def test_protection_is_promised_with_its_limit() -> None:
    assert "No registry offers a lock" not in summary(all_good(2))
    assert "No registry offers a lock" in summary(all_good(2), protected=True)


def test_hostile_text_is_shown_and_does_nothing() -> None:
    markdown = summary(hostile_run())
    shown = Rendered(markdown)
    assert "script" not in shown.elements
    assert "img" not in shown.elements
    assert "a" not in shown.elements
    assert shown.elements.count("details") == 0
    assert "<script>alert(1)</script>" in shown.text
    assert HOSTILE.splitlines()[0].partition(" @")[0] in shown.text


def test_a_digest_of_a_saved_report_ends_no_block() -> None:
    odd = replace(pushed(target("1")), digest=Digest("sha256:a\n```\n# broken"))
    assert "h1" not in Rendered(summary(report([odd]))).elements


def test_ten_thousand_targets_fit_and_what_is_left_out_is_counted() -> None:
    subject = huge()
    markdown = summary(subject, protected=True)
    assert len(markdown.encode()) <= MOST_BYTES
    rows = named(markdown)
    assert max(rows.values()) == 1
    for heading, part in sections(markdown).items():
        total = re.search(r"— ([\d,]+) tags$", heading)
        if total:
            left = re.search(r"… and \*\*([\d,]+) more tags\*\*, named in the JSON report", part)
            assert left
            shown = sum(named(part).values())
            assert shown + int(left[1].replace(",", "")) == int(total[1].replace(",", ""))


def test_a_failed_target_in_a_crowd_still_has_its_row() -> None:
    crowd = [not_landed(target(f"{n}"), failure(Kind.NETWORK, f"{n} x")) for n in range(3000)]
    assert len(named(summary(report(crowd)))) == 3000


def test_many_repositories_share_a_table() -> None:
    results = [pushed(target(f"{n}", Repository("ghcr.io", f"acme/app{n}"))) for n in range(2000)]
    markdown = summary(report(results))
    assert markdown.count("<details>") == 1
    assert len(named(markdown)) == 2000


def test_retried_layers_differ_from_retried_tags() -> None:
    content = [
        *tried((SERVER_ERROR,), started=0.0, step=Step.UPLOAD),
        *tried((SERVER_ERROR, SERVER_ERROR), started=0.0, step=Step.UPLOAD),
        *tried((), started=0.0, step=Step.UPLOAD),
    ]
    seed = replace(pushed(target("1")), retried=True, content_attempts=tuple(content))
    markdown = summary(report([seed, pushed(target("2"))]))
    assert "2 layers were retried" in markdown
    times = "\N{MULTIPLICATION SIGN}"
    assert f"2 layers were retried: 3 {times} server-error (500) on upload." in markdown

    again = pushed(target("2"), failures=(SERVER_ERROR,))
    assert "1 tag and 2 layers were retried: " in summary(report([seed, again]))


def test_kept_targets_have_a_place_of_their_own_and_are_no_failure() -> None:
    kept = TargetResult(
        target=target("v1"), outcome=Outcome.KEPT, before=digest(7), known_before=True
    )
    markdown = summary(report([pushed(target("1")), kept]))
    assert markdown.startswith("## ✅ 1 of 2 tags pushed in ")
    assert "1 kept" in markdown.splitlines()[0]
    assert "### 🔒 Kept, protected — 1 tag" in markdown
    assert ["ghcr.io/acme/app:v1", digest(7)[:19]] in Rendered(markdown).rows
    alone = summary(report([kept])).splitlines()[0]
    assert alone.startswith("## ✅ 0 of 1 tag pushed in ")


# -- sent blobs, and links ----------------------------------------------------------------------


def test_sent_and_unneeded_blobs_have_a_line() -> None:
    parts = Rendered(summary(STORIES["retried-layers"]())).text.splitlines()
    assert "📦 11 blobs sent: 44.0 MB in 5.3 s, 8.3 MB/s · 1 mounted · 4.0 MB not sent" in parts
    assert "📦" not in summary(partly_failed())


def test_githubs_page_for_an_incident_is_shortened() -> None:
    page = (
        "up; before: Unicorn! \u00b7 GitHub - We had issues producing the response to your request."
    )
    failed_so = not_landed(target("1"), replace(SERVER_ERROR, message=page))
    assert "<code>up; before: GitHub's Unicorn page</code>" in summary(report([failed_so]))


def test_kinds_are_linked_to_the_guide() -> None:
    guide = "https://github.com/acme/push/blob/v1/docs/failures.md"
    assert f'**<a href="{guide}#denied">denied</a> (403)**' in summary(all_failed(), guide=guide)
    assert "**denied (403)**" in summary(all_failed())


def test_a_pushed_image_can_be_pulled_and_inspected() -> None:
    markdown = summary(retried_run())
    assert f"```sh\ndocker pull {APP}@{digest(1)}\ndocker pull {OPS}@{digest(2)}\n```" in markdown
    assert '<a href="https://ghcr.io/acme/ops"><code>ghcr.io/acme/ops</code></a> · ' in markdown
    assert "docker pull" not in summary(all_failed())
    assert "href" not in summary(report([pushed(target("1", Repository("localhost:5000", "a/b")))]))


def test_a_permanently_refused_run_has_no_picture() -> None:
    assert "mermaid" not in summary(all_failed())


# -- outages and waits --------------------------------------------------------------------------


def test_the_headline_says_that_a_registry_was_down_and_what_it_answered() -> None:
    line = headline(STORIES["outage"]())
    assert line == "## ✅ 5 of 5 tags pushed in 25.4 s: ghcr.io was down for the first 20 s (503)"
    assert "\n1 tag was retried: 9 \N{MULTIPLICATION SIGN} server-error (503)" in summary(
        STORIES["outage"]()
    )


def test_an_outage_to_the_end_and_one_in_the_middle() -> None:
    bad = [replace(SERVER_ERROR, status=status) for status in (503, 504, 503)]
    lost = [not_landed(target(tag), *bad * 2, at=1.0) for tag in "ab"]
    assert "ghcr.io was down all the time (503, 504)" in headline(report(lost))
    seen = pushed(target("first"), at=0.1)
    late = [pushed(target(tag), failures=tuple(bad), at=5.0) for tag in "ab"]
    assert "ghcr.io was down for 10 s (503, 504)" in headline(report([seen, *late]))


def test_an_unreachable_registry_is_not_called_down() -> None:
    away = failure(Kind.NETWORK, "connection refused")
    line = headline(report([not_landed(target("a"), *[away] * 6, at=1.0)]))
    assert line.endswith(": network, ghcr.io was out of reach all the time (network)")


def test_a_tag_that_alone_keeps_failing_is_no_outage() -> None:
    alone = not_landed(target("a"), *[SERVER_ERROR] * 6, at=1.0)
    assert "down" not in headline(report([pushed(target("b")), alone]))


def test_the_headline_says_how_long_a_registry_had_the_run_wait() -> None:
    line = headline(STORIES["rate-limit"]())
    assert line.endswith("of it waiting for ghcr.io, secondary-limit (403)")
    assert "to 1 at 6.8 s, secondary-limit (403)" in summary(STORIES["rate-limit"]())
