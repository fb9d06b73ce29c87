"""Pushes that get a registry's answer, as configured in `scenarios.toml`."""

import base64
import json
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.front import (
    Answer,
    Auth,
    Behaviour,
    Event,
    Match,
    Rule,
    Step,
    User,
    oci_error,
    running_front,
)
from tests.support.record_failures.engine import Engine
from tests.support.record_failures.recording import DATA, Recording, recording

Scenario = Mapping[str, Any]

_USER, _PASSWORD = "octocat", "recorded"


def scenarios() -> dict[str, Scenario]:
    """Return the scenarios by name, each with its steps."""
    read = tomllib.loads((DATA / "scenarios.toml").read_text(encoding="utf-8"))
    usual = read.pop("usual")
    return {name: {"steps": usual} | scenario for name, scenario in read.items()}


def play(engine: Engine, registry: str, name: str, scenario: Scenario, step: str) -> Recording:
    """Push once through a new front that gives the scenario's answer at `step`.

    The front asks for tokens as ghcr.io does, but not where it has to answer the first ping.
    """
    auth = Auth(mode="token", users={_USER: User(password=_PASSWORD)})
    behaviour = Behaviour(
        rules=(_rule(step, _answer(scenario)),), auth=Auth() if step == "PING" else auth
    )
    with running_front(registry, behaviour) as front, tempfile.TemporaryDirectory() as config:
        login = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        auths = {"auths": {front.address: {"auth": login}}}
        Path(config, "config.json").write_text(json.dumps(auths), encoding="utf-8")
        image = f"{front.address}/acme/{name.lower()}-{step.lower().replace('_', '-')}:1"
        engine.make(image)
        printed = engine.docker("push", image, env={"DOCKER_CONFIG": config})
        engine.docker("rmi", image)
        return recording(name, step, printed, {front.address: "registry.example"})


def _answer(scenario: Scenario) -> Answer:
    if "code" in scenario:
        return oci_error(scenario["status"], scenario["code"], scenario["message"])
    return Answer(
        status=scenario.get("status", 500),
        headers={"Content-Type": scenario["type"]} if "type" in scenario else {},
        body=scenario.get("body", ""),
        connection=scenario.get("connection", "keep"),
    )


def _rule(step: str, answer: Answer) -> Rule:
    """Return the rule that answers so at a step by its name in `scenarios.toml`."""
    if step == "LAYER_HEAD":
        uploaded = Event(steps=frozenset({Step.UPLOAD_PUT}))
        return Rule(match=Match(steps=frozenset({Step.BLOB_HEAD})), after=uploaded, answer=answer)
    if step == "CONFIG_POST":
        # the second upload is the config's: the classic store tries that once, a layer 5 times
        return Rule(match=Match(steps=frozenset({Step.UPLOAD_POST})), skip=1, answer=answer)
    name = step.replace("LAYER_", "UPLOAD_")
    return Rule(match=Match(steps=frozenset({Step(name)})), answer=answer)
