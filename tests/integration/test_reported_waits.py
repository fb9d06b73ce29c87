"""The report gives each wait with the attempt before it, also among equal attempts."""

from tests.support.cases import World
from tests.support.front import Behaviour, Rule, Step, oci_error, on


def test_every_failed_attempt_is_reported_with_its_own_wait(world: World) -> None:
    unwell = oci_error(500, "UNKNOWN", "unwell")
    # so few of each that they are no outage, whose probes would take longer than the run may
    once = Rule(match=on(Step.UPLOAD_PUT), answer=unwell, first=1, per="reference")
    thrice = Rule(match=on(Step.MANIFEST_PUT), answer=unwell, first=3)
    world.front.set(Behaviour(rules=(once, thrice)))
    end = world.push("acme/app:1", transport="direct")
    assert end.outcomes == {"acme/app:1": "pushed"}, end.log
    target = end.target("acme/app:1")
    for attempts in (target["attempts"], target["content_attempts"]):
        failed = [each for each in attempts if each["failure"]]
        assert len(failed) > 2
        assert all(each["wait"] > 0 for each in failed), failed
        assert not any(each["wait"] for each in attempts if not each["failure"])
