"""Single inputs to settings: words, numbers, durations, lists, logins, and all errors at once."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ghcr_push.planning.durations import parse_duration
from ghcr_push.planning.inputs import INPUTS
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.logins import Login
from ghcr_push.planning.problems import InputError, Problem, quoted
from ghcr_push.planning.settings import OnProtected, Settings, Transport, read_settings

ONE_TAG = {"tags": "ghcr.io/acme/app:1"}


def read(**inputs: str) -> Settings:
    return read_settings(ONE_TAG | {name.replace("_", "-"): text for name, text in inputs.items()})


def refusal(**inputs: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(**inputs)
    return caught.value


def only_line(**inputs: str) -> str:
    (line,) = str(refusal(**inputs)).splitlines()
    return line


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = read()
    assert settings.transport is Transport.AUTO
    assert (settings.max_parallel, settings.max_attempts) == (4, 8)
    assert (settings.backoff_initial, settings.backoff_max) == (0.5, 60.0)
    assert (settings.attempt_timeout, settings.timeout) == (900.0, 1800.0)
    assert (settings.adaptive, settings.verify, settings.summary) == (True, True, True)
    assert (settings.fail_on_error, settings.fail_fast, settings.dry_run) == (True, False, False)
    assert (settings.token, settings.logins, settings.secrets) == ("", (), ())
    assert (settings.protect, settings.insecure_registries) == ((), ())
    assert settings.on_protected is OnProtected.FAIL
    assert (settings.all_or_nothing, settings.declare_artifacts) == (False, False)
    assert settings.referrers is False
    assert (settings.report_file, settings.notices, settings.conflicts) == ("", (), ())


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_an_empty_text_means_the_default(nothing: str) -> None:
    assert read_settings({each.name: nothing for each in INPUTS} | ONE_TAG) == read()


@pytest.mark.parametrize("word", ["true", "True", "TRUE", " true\n"])
def test_yaml_words_for_true_are_true(word: str) -> None:
    assert read(dry_run=word).dry_run is True


@pytest.mark.parametrize("word", ["false", "False", "FALSE"])
def test_yaml_words_for_false_are_false(word: str) -> None:
    assert read(verify=word).verify is False


@pytest.mark.parametrize("word", ["yes", "1", "on", "tRUE", "0", "truefalse"])
def test_other_words_are_no_booleans(word: str) -> None:
    assert only_line(verify=word) == (
        f"verify: '{word}' is neither `true` nor `false`; write one of them."
    )


@pytest.mark.parametrize("number", ["1", "64", "007"])
def test_whole_numbers_in_range_are_read(number: str) -> None:
    assert read(max_parallel=number).max_parallel == int(number)


@pytest.mark.parametrize("number", ["0", "65", "-1", "4.0", "four", "1e1", "٣", "1_0", "9" * 5000])
def test_numbers_out_of_range_are_refused(number: str) -> None:
    line = only_line(max_parallel=number)
    assert line.startswith("max-parallel: '")
    assert line.endswith("is not a whole number from 1 to 64; give one.")
    assert len(line) < 300


def test_the_range_of_attempts_ends_at_a_hundred() -> None:
    assert read(max_attempts="100").max_attempts == 100
    assert "from 1 to 100" in only_line(max_attempts="101")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2),
        ("1m30s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("1h1m1s1ms", 3661.001),
        ("1.5h", 5400),
        ("90", 90),
        ("0.25", 0.25),
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("1m1ms", 60.001),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1s", "1h-", "inf", "nan", "1e9", "s", "1s1m", "1s1s", "1d", "1 s", "2S", "+1s"),
        *("1.s", ".5s", "1s\n", "٣s", "1h30", "9" * 400, "infs"),
    ],
)
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(numbers=st.tuples(*[st.integers(0, 10**6)] * 4))
def test_a_duration_is_the_sum_of_its_parts(numbers: tuple[int, ...]) -> None:
    text = "".join(
        f"{each}{unit}" for each, unit in zip(numbers, ("h", "m", "s", "ms"), strict=True)
    )
    factors = (3_600_000, 60_000, 1000, 1)
    milliseconds = sum(each * factor for each, factor in zip(numbers, factors, strict=True))
    assert round(parse_duration(text) * 1000) == milliseconds


@given(text=st.text(alphabet="0123456789.hms-+e ", max_size=12))
def test_a_duration_is_finite_and_not_negative(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds < float("inf")


def test_bad_durations_are_named() -> None:
    assert only_line(timeout="-1s") == (
        "timeout: '-1s' is not a duration; write it like `500ms`, `2s`, `1m30s`, `5m` or `1h`, "
        "or `0` for none."
    )


def test_only_the_whole_run_may_be_without_a_limit() -> None:
    assert read(timeout="0").timeout is None
    for name in ("attempt_timeout", "backoff_initial", "backoff_max"):
        assert "is zero" in str(refusal(**{name: "0s"}))


def test_waits_longer_than_any_workflow_are_refused() -> None:
    assert read(timeout="840h").timeout == 35 * 24 * 3600
    assert "give at most 840h" in only_line(timeout="840h1s")


def test_the_first_wait_is_not_longer_than_the_longest() -> None:
    assert read(backoff_initial="60s").backoff_initial == 60
    assert only_line(backoff_initial="90s") == (
        "backoff-initial: '90s' is longer than `backoff-max`, which is 60s; raise that or lower "
        "this."
    )
    assert only_line(backoff_initial="2x", backoff_max="1s").startswith("backoff-initial: '2x' is")


def test_transports_are_parsed_by_name() -> None:
    assert read(transport="engine").transport is Transport.ENGINE
    assert read(transport="direct").transport is Transport.DIRECT
    assert read().transport is Transport.AUTO
    assert only_line(transport="tcp") == (
        "transport: 'tcp' is none of `auto`, `direct`, `engine`; write one of them."
    )


def test_on_protected_is_parsed_by_name() -> None:
    assert read(on_protected="keep").on_protected is OnProtected.KEEP
    assert only_line(on_protected="skip") == (
        "on-protected: 'skip' is none of `fail`, `keep`; write one of them."
    )


def test_all_or_nothing_and_declare_artifacts_are_booleans() -> None:
    settings = read(all_or_nothing="true", declare_artifacts="true")
    assert (settings.all_or_nothing, settings.declare_artifacts) == (True, True)


@pytest.mark.parametrize("platform", ["linux", "linux/", "Linux/arm64", "linux/arm/v7/x", "arm 64"])
def test_an_invalid_platform_is_rejected(platform: str) -> None:
    line = only_line(platform=platform, source="oci-layout:out")
    assert line == f"platform: {platform!r} is not a platform; write one such as linux/arm64."


def test_a_platform_is_chosen_from_any_source_but_not_for_docker_push() -> None:
    assert read(platform="linux/arm/v7", source="oci-layout:out").platform == "linux/arm/v7"
    assert read(platform="linux/arm/v7", source="app").platform == "linux/arm/v7"
    assert read(source="oci-layout:out").platform is None
    line = only_line(platform="linux/arm64", source="app", transport="engine")
    assert "cannot be chosen with `transport: engine`" in line


def test_docker_push_cannot_push_from_disk() -> None:
    line = only_line(transport="engine", source="oci-layout:out")
    assert line.startswith("transport: 'engine' pushes images of the Docker Engine only")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    assert str(refusal(dryrun="true", MAX_ATTEMPTS="2", zzz="1")).splitlines() == [
        "'MAX-ATTEMPTS' is no input; the nearest is `max-attempts`.",
        "'dryrun' is no input; the nearest is `dry-run`.",
        "'zzz' is no input; leave it out.",
    ]


def test_keys_of_the_runner_itself_are_accepted() -> None:
    assert read(args="x", entrypoint="y").notices == ()


def test_a_misspelled_input_is_reported_before_its_consequences() -> None:
    with pytest.raises(InputError) as caught:
        read_settings({"tag": "ghcr.io/acme/app:1"})
    first, second = str(caught.value).splitlines()
    assert first == "'tag' is no input; the nearest is `tags`."
    assert second.startswith("tags is empty")


def test_all_problems_come_at_once_in_the_order_of_the_inputs() -> None:
    error = refusal(
        insecure_registries="http://x",
        timeout="soon",
        max_parallel="0",
        tags="ghcr.io/acme/app:a b",
        verify="maybe",
        password="hunter2",
    )
    assert [each.input for each in error.problems] == [
        "tags",
        "max-parallel",
        "timeout",
        "password",
        "verify",
        "insecure-registries",
    ]
    assert len(str(error).splitlines()) == 6


def test_many_problems_of_one_input_are_counted_not_listed() -> None:
    tags = "\n".join(f"ghcr.io/acme/app:{number} x" for number in range(10_000))
    error = refusal(tags=tags, verify="maybe")
    lines = str(error).splitlines()
    assert len(error.problems) == 10_001
    assert len(lines) == 12
    assert lines[10] == "tags has 9,990 more problems."
    assert lines[11].startswith("verify: 'maybe' is")


def test_shown_values_stay_on_one_line_are_short_and_hold_no_url_password() -> None:
    assert quoted("a\n::error::b\x1b[1m") == r"'a\n::error::b\x1b[1m'"
    assert len(quoted("x" * 10**6)) < 200
    assert quoted("https://me:hunter2@ghcr.io/x") == "'https://***@ghcr.io/x'"
    assert str(Problem(input="tags", sentence="is empty")) == "tags is empty."


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        (" \n\r\n ,, \n", []),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\rb", ["a", "b"]),
        (" a , b ,\n c ", ["a", "b", "c"]),
        ('"a,b",c', ["a,b", "c"]),
        ('a, "b,c"', ["a", "b,c"]),
        ('"say ""x"""', ['say "x"']),
        ('a"b,c', ['a"b', "c"]),
        ('"open,a\nb,c', ["open,a", "b", "c"]),
        ("a\u2028b", ["a\u2028b"]),
    ],
)
def test_lists_are_split_by_line_and_comma(text: str, entries: list[str]) -> None:
    assert split_list(text) == entries


def test_a_huge_quoted_field_is_one_entry() -> None:
    assert len(split_list('"' + "a" * 200_000 + '"\nb')) == 2


@given(entries=st.lists(st.text(alphabet=string.ascii_letters + "./:=>_-", min_size=1)))
@example(entries=["a => b"])
def test_a_list_survives_both_ways_of_being_written(entries: list[str]) -> None:
    assert split_list("\n".join(entries)) == split_list(" , ".join(entries)) == entries


@given(text=st.text())
def test_any_text_splits_into_trimmed_entries(text: str) -> None:
    assert all(entry and entry == entry.strip() for entry in split_list(text))


def test_credentials_for_one_registry_are_a_login() -> None:
    settings = read(
        tags="quay.io/acme/app:1", registry="Quay.io", username="me", password=" hunter2\n"
    )
    assert settings.logins == (Login(registry="quay.io", username="me", password="hunter2"),)
    assert settings.secrets == ("hunter2",)


def test_a_login_without_a_registry_is_rejected() -> None:
    assert only_line(tags="localhost:5000/a/b:1", username="me", password="hunter2") == (
        "username: 'me' is not used: it is for ghcr.io, and what is pushed is on "
        "localhost:5000; set `registry`."
    )
    settings = read(
        tags="localhost:5000/a/b:1",
        source="docker://quay.io/a/b:1",
        registry="quay.io",
        username="me",
        password="hunter2",
    )
    assert settings.logins[0].registry == "quay.io"


def test_halves_of_credentials_are_refused_without_showing_secrets() -> None:
    assert only_line(password="hunter2") == (
        "password is given without `username`; give both or neither."
    )
    assert only_line(username="me").startswith("username: 'me' has no `password`; give both")
    assert only_line(registry="https://ghcr.io/acme") == (
        "registry: 'https://ghcr.io/acme' is not a registry; write its host alone, such as "
        "ghcr.io or localhost:5000, without protocol and path."
    )


def test_a_registry_without_credentials_is_noticed() -> None:
    (notice,) = read(registry="quay.io").notices
    assert notice.startswith("registry 'quay.io' has no `username` and `password`:")
    assert read(registry="ghcr.io").notices == ()


def test_more_registries_come_as_yaml() -> None:
    settings = read(
        username="a",
        password="1",
        registry_auth=(
            "- registry: quay.io\n  username: no\n  password: 0123\n"
            "- {registry: docker.io, username: b, password: 'x: #y'}\n"
        ),
    )
    assert settings.logins == (
        Login(registry="ghcr.io", username="a", password="1"),
        Login(registry="quay.io", username="no", password="0123"),
        Login(registry="docker.io", username="b", password="x: #y"),
    )
    assert settings.secrets == ("1", "0123", "x: #y")


ENTRY = "- registry: quay.io\n  username: me\n  password: hunter2\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- registry: [hunter2", "registry-auth is not YAML (line 1); it must be a YAML list"),
        ("a: 1\na: hunter2", "registry-auth is not YAML (line 2)"),
        ("\x00hunter2", "registry-auth is not YAML; it"),
        ("[" * 1000 + "hunter2", "registry-auth is not YAML; it"),
        ("hunter2", "registry-auth must be a YAML list"),
        ("registry: hunter2", "registry-auth must be a YAML list"),
        ("- hunter2", "entry 1 has not"),
        ("- &a [*a, hunter2]", "entry 1 has not"),
        (ENTRY + "- password: [hunter2]", "entry 2 has not"),
        ("- password: hunter2", "lacks `registry` and `username` in entry 1; add it"),
        (ENTRY + "  ecr: auto", "has keys in entry 1 that are not supported"),
        ("- hunter2:\n", "has keys in entry 1 that are not supported"),
        (ENTRY.replace("quay.io", "https://hunter2"), "has no registry at `registry` in entry 1"),
        (ENTRY + ENTRY, "gives in entry 2 a second login for one registry"),
        ("!!python/object/apply:os.system [hunter2]", "entry 1 has not"),
    ],
)
def test_bad_yaml_is_refused_without_showing_any_of_it(text: str, says: str) -> None:
    error = refusal(registry_auth=text)
    assert says in str(error)
    assert "hunter2" not in f"{error}{error!r}{error.problems}"


def test_an_entry_may_not_repeat_the_single_login() -> None:
    error = refusal(registry="quay.io", username="a", password="1", registry_auth=ENTRY)
    assert "gives in entry 1 a second login" in str(error)


def test_secrets_are_not_in_the_settings_as_text() -> None:
    settings = read(token="hunter1", username="me", password="hunter2")
    assert "hunter" not in repr(settings)
    assert settings.secrets == ("hunter1", "hunter2")


def test_protected_patterns_are_a_list() -> None:
    assert read(protect="v*.*.*, [0-9]*\nstable").protect == ("v*.*.*", "[0-9]*", "stable")


@pytest.mark.parametrize(
    "pattern", ["acme/app:v*", "v{1,2}", "v 1", "v*:x", "[", "v[0-9.*", "v]", "v[]"]
)
def test_patterns_that_match_no_tag_are_refused(pattern: str) -> None:
    assert "can match no tag" in str(refusal(protect=pattern))


def test_protection_without_a_pattern_is_refused() -> None:
    assert only_line(protect=",").startswith("protect: ',' has no pattern in it")


def test_insecure_registries_are_hosts() -> None:
    assert read(insecure_registries="Registry:5000\n10.0.0.1:80").insecure_registries == (
        "registry:5000",
        "10.0.0.1:80",
    )
    assert only_line(insecure_registries="a:1, http://b") == (
        "insecure-registries: 'http://b' is not a registry; write its host alone, such as "
        "registry:5000."
    )


@pytest.mark.parametrize("path", ["/tmp", "/proc", "reports/"])
def test_a_folder_is_no_report_file(path: str) -> None:
    assert only_line(report_file=path) == (
        f"report-file: '{path}' is a folder; give the path of a file in it."
    )


def test_paths_are_kept_as_they_are() -> None:
    assert read(report_file="out/a b.json").report_file == "out/a b.json"


@given(
    values=st.dictionaries(
        st.sampled_from([each.name for each in INPUTS]), st.text(max_size=30), max_size=6
    )
)
def test_any_inputs_are_either_read_or_refused_in_whole_sentences(values: dict[str, str]) -> None:
    try:
        read_settings(values)
    except InputError as error:
        lines = str(error).splitlines()
    else:
        return
    assert lines
    assert all(line.endswith(".") and line.isprintable() for line in lines)


@pytest.mark.parametrize("source", ["app:1", "docker-daemon:app:1", "docker-archive:app.tar"])
def test_a_source_without_referrers_gets_a_notice(source: str) -> None:
    (notice,) = read(source=source, referrers="true").notices
    assert f"nothing refers to '{source.removeprefix('docker-daemon:')}'" in notice
    assert read(source=source).notices == ()


@pytest.mark.parametrize(
    "source", ["oci-layout:dist", "oci-archive:app.tar", "docker://quay.io/acme/app:1"]
)
def test_sources_that_may_have_referrers_need_no_notice(source: str) -> None:
    settings = read(source=source, referrers="true")
    assert (settings.referrers, settings.notices) == (True, ())
