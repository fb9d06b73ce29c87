"""An unknown failure: it is retried, with a limit, and quoted word for word."""

import pytest
from tests.support.front import Answer, Behaviour, Front, Rule, Step, on
from tests.support.outcomes import outcomes
from tests.support.runner import Job

WORDS = "I am a <b>teapot</b> | ::error::and ##[error] too"
STRANGE = Answer(status=418, headers={"Content-Type": "text/plain"}, body=WORDS)


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_an_unknown_failure_is_retried_up_to_a_cap_and_quoted(
    job: Job, front: Front, transport: str
) -> None:
    rule = Rule(match=on(Step.MANIFEST_PUT, reference="odd"), answer=STRANGE)
    front.set(Behaviour(rules=(rule,)))
    job.engine.make_image("strange", layers=1)
    base = f"{front.address}/acme/app"
    step = job.run(
        {
            "tags": f"{base}:even\n{base}:odd",
            "source": "strange",
            "transport": transport,
            "backoff-initial": "100ms",
        }
    )
    assert step.status == 1
    assert outcomes(step) == {f"{base}:even": "pushed", f"{base}:odd": "failed"}
    [odd] = [each for each in step.report["targets"] if each["reference"].endswith(":odd")]
    assert odd["failure"]["kind"] == "unknown"
    # four count; one that lowered the limit costs none
    assert len(odd["attempts"]) == front.stats().answers[Step.MANIFEST_PUT][418]
    assert 4 <= len(odd["attempts"]) <= 5
    assert WORDS in odd["failure"]["message"]
    assert "teapot" in step.summary
    assert "<b>" not in step.summary
    assert not [line for line in step.log.splitlines() if "##[error]" in line]
