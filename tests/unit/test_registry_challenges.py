"""Parsing challenges by RFC 9110."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.registry.challenges import parse_challenges

Plain = list[tuple[str, dict[str, str]]]


def parsed(*headers: str) -> Plain:
    return [(each.scheme, dict(each.parameters)) for each in parse_challenges(headers)]


GHCR = 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:a/b:pull,push"'
GHCR_PARAMETERS = {
    "realm": "https://ghcr.io/token",
    "service": "ghcr.io",
    "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([GHCR], [("bearer", GHCR_PARAMETERS)]),
        (['Basic realm="a", charset="UTF-8"'], [("basic", {"realm": "a", "charset": "UTF-8"})]),
        (["Negotiate, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["NTLM TlRMTVNTUA==, Basic realm=x"], [("ntlm", {}), ("basic", {"realm": "x"})]),
        (
            [f'Basic realm="say \\"hi\\", you", {GHCR}'],
            [("basic", {"realm": 'say "hi", you'}), ("bearer", GHCR_PARAMETERS)],
        ),
        (
            ["Basic realm=a", "BEARER Realm = b"],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})],
        ),
        (
            ["Bearer realm=https://a.example/token,service=s"],
            [("bearer", {"realm": "https://a.example/token", "service": "s"})],
        ),
        (['Bearer realm="", , ,service=s'], [("bearer", {"realm": "", "service": "s"})]),
        (['Basic realm="never closed'], [("basic", {})]),
        (["realm=alone"], []),
        ([""], []),
        ([], []),
    ],
)
def test_challenges_are_read(headers: list[str], expected: Plain) -> None:
    assert parsed(*headers) == expected


names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)


@given(st.lists(st.tuples(names, st.dictionaries(names, values, max_size=4)), max_size=4))
def test_a_written_blob_can_be_read(challenges: Plain) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    assert parsed(text) == challenges


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    parse_challenges([text])


@given(st.text('Bb a="\\,', max_size=300))
def test_any_text_of_the_grammars_signs_is_taken(text: str) -> None:
    parse_challenges([text])
