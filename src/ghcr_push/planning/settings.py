"""Inputs to validated settings: all problems are reported at once, before any request."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ghcr_push.model import Source, Target
from ghcr_push.planning.annotations import Annotations, read_annotations
from ghcr_push.planning.durations import parse_duration
from ghcr_push.planning.inputs import INPUT_BY_NAME, INPUTS
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.locations import (
    Location,
    MergedLocation,
    RegistryLocation,
    may_have_referrers,
    parse_location,
    repositories_of,
)
from ghcr_push.planning.logins import Login, read_logins
from ghcr_push.planning.mounts import read_mount_from
from ghcr_push.planning.problems import Findings, InputError, quoted
from ghcr_push.planning.sizes import parse_size
from ghcr_push.planning.tagsfile import read_tags_file
from ghcr_push.planning.targets import Conflict, read_targets
from ghcr_push.references import Repository, parse_registry


class Transport(StrEnum):
    """Who uploads the layers."""

    AUTO = "auto"
    DIRECT = "direct"
    ENGINE = "engine"


class OnProtected(StrEnum):
    """What to do with a protected tag that names another image."""

    FAIL = "fail"
    KEEP = "keep"


# YAML 1.2 core schema, "Boolean", as @actions/core reads inputs
_BOOLEANS = {"true": True, "True": True, "TRUE": True}
_BOOLEANS |= {"false": False, "False": False, "FALSE": False}
# GitHub ends a workflow run after 35 days; a longer wait is a mistake
_LONGEST = 35 * 24 * 3600.0
# keys that the runner itself understands beside the inputs of a container action
_RUNNERS_OWN = frozenset({"args", "entrypoint"})
# image-spec, "platform": os/architecture, with a variant where there are several
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
# the characters of tags and of fnmatch's patterns
_PATTERN = re.compile(r"(?:[a-zA-Z0-9_.*?!-]|\[!?\]?[^\]]+\])+")


Locations = Mapping[Source, Location | None]
"""The location of each source, None for an image of the Docker Engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The inputs, validated; durations in seconds.

    ``conflicts`` are targets with several sources: the run may start only if the engine says that
    each one's sources are the same image (``planning.plan.unresolved``). ``notices`` are sentences
    about values that were normalised, merged or ignored. Paths are as given.
    """

    targets: tuple[Target, ...]
    conflicts: tuple[Conflict, ...]
    transport: Transport
    platform: str | None
    """``os/architecture[/variant]``; None for all platforms of a source."""
    referrers: bool
    """Whether to copy signatures, SBOMs and attestations of the sources."""
    compress_layers: bool
    """Whether to compress uncompressed layers."""
    annotations: Annotations
    """Keys and values for the index of a merged source."""
    mount_from: tuple[Repository, ...]
    spool_size: int
    """Bytes of temporary space for layers that are being uploaded."""
    max_parallel: int
    adaptive: bool
    max_attempts: int
    backoff_initial: float
    backoff_max: float
    attempt_timeout: float
    timeout: float | None
    """None for no time limit."""
    fail_fast: bool
    fail_on_error: bool
    token: str = field(repr=False)
    logins: tuple[Login, ...]
    verify: bool
    protect: tuple[str, ...]
    on_protected: OnProtected
    all_or_nothing: bool
    declare_artifacts: bool
    dry_run: bool
    summary: bool
    report_file: str
    insecure_registries: tuple[str, ...]
    notices: tuple[str, ...]
    path_of: Callable[[str], Path] = Path
    """Resolves a path in the inputs to the file."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret of the inputs, for masking."""
        return tuple(filter(None, (self.token, *(login.password for login in self.logins))))


def read_settings(values: Mapping[str, str], path_of: Callable[[str], Path] = Path) -> Settings:
    """Validate ``values``, keyed by input; raise one ``InputError`` with all problems.

    ``path_of`` resolves a path in ``values`` if it is not relative to the process. Surrounding
    white space is dropped; an empty text means the default, as the runner passes one for every
    unset input. An unknown name is rejected with the nearest known name.
    """
    findings = Findings()
    _refuse_unknown_names(values, findings)
    texts = {each.name: values.get(each.name, "").strip() or each.default for each in INPUTS}
    reader = _Reader(texts, findings)
    lists: dict[str, str | None] = {"tags": texts["tags"]}
    if given := texts["tags-file"]:
        lists["tags-file"] = read_tags_file(given, path_of(given), findings)
    targets, conflicts = read_targets(
        lists,
        image=texts["image"],
        source=texts["source"],
        allow_empty=reader.boolean("allow-empty"),
        findings=findings,
    )
    locations = {each.source: parse_location(each.source.image) for each in targets}
    backoff_initial, backoff_max = reader.backoff()
    settings = Settings(
        targets=targets,
        conflicts=conflicts,
        transport=reader.choice("transport", Transport),
        platform=reader.platform(),
        referrers=reader.referrers(locations),
        compress_layers=reader.boolean("compress-layers"),
        annotations=read_annotations(texts["annotations"], locations, findings),
        mount_from=reader.mount_from(targets),
        spool_size=reader.number("spool-size", parse_size),
        max_parallel=reader.integer("max-parallel", range(1, 65)),
        adaptive=reader.boolean("adaptive"),
        max_attempts=reader.integer("max-attempts", range(1, 101)),
        backoff_initial=backoff_initial,
        backoff_max=backoff_max,
        attempt_timeout=reader.duration("attempt-timeout"),
        timeout=reader.duration("timeout", zero="`0` for none") or None,
        fail_fast=reader.boolean("fail-fast"),
        fail_on_error=reader.boolean("fail-on-error"),
        token=texts["token"],
        logins=reader.logins(),
        verify=reader.boolean("verify"),
        protect=reader.patterns("protect"),
        on_protected=reader.choice("on-protected", OnProtected),
        all_or_nothing=reader.boolean("all-or-nothing"),
        declare_artifacts=reader.boolean("declare-artifacts"),
        dry_run=reader.boolean("dry-run"),
        summary=reader.boolean("summary"),
        report_file=reader.file("report-file", path_of),
        insecure_registries=reader.registries("insecure-registries"),
        notices=tuple(findings.notices),
        path_of=path_of,
    )
    _check_sources(settings, locations, findings)
    if texts["username"] and settings.logins:
        _check_use(settings.logins[0], targets, locations, findings)
    if settings.all_or_nothing and settings.transport is Transport.ENGINE:
        findings.refuse(
            "all-or-nothing",
            "true",
            "cannot be kept with `transport: engine`, since `docker push` writes the tag with the "
            "layers; leave `transport` out",
        )
    if findings.problems:
        order = {name: place for place, name in enumerate(INPUT_BY_NAME)}
        problems = sorted(findings.problems, key=lambda problem: order.get(problem.input, -1))
        raise InputError(problems, findings.notices)
    return settings


def _check_sources(settings: Settings, locations: Locations, findings: Findings) -> None:
    """Reject what a source cannot do: be pushed by the engine, or provide a single platform."""
    elsewhere = [source for source, location in locations.items() if location is not None]
    if settings.transport is Transport.ENGINE and elsewhere:
        findings.refuse(
            "transport",
            settings.transport,
            f"pushes images of the Docker Engine only, and {quoted(str(elsewhere[0]))} is not one; "
            "leave `transport` out",
        )
    if settings.compress_layers:
        _check_compression(settings, locations, findings)
    if settings.platform is not None and settings.transport is Transport.ENGINE:
        findings.refuse(
            "platform",
            settings.platform,
            "cannot be chosen with `transport: engine`, since `docker push` pushes all platforms "
            "that the engine has; leave `transport` out",
        )


def _check_compression(settings: Settings, locations: Locations, findings: Findings) -> None:
    """Reject compressing content that is read in place, or that others refer to by its digest."""

    def refuse(sentence: str) -> None:
        findings.refuse("compress-layers", "true", sentence)

    if settings.transport is Transport.ENGINE:
        refuse(
            "cannot be done with `transport: engine`, since `docker push` pushes layers as they "
            "are; leave `transport` out"
        )
    if settings.referrers:
        refuse("changes the digest that referrers name; remove one of the two")
    for source, location in locations.items():
        if isinstance(location, RegistryLocation | MergedLocation):
            refuse(
                "is for images of the engine, layouts and archives, and "
                f"{quoted(str(source))} is pushed unchanged; compress its layers where it is built"
            )
            return


def _check_use(
    login: Login, targets: Iterable[Target], locations: Locations, findings: Findings
) -> None:
    """Reject a login for a registry that the run does not use."""
    used = {each.registry for source in locations.values() for each in repositories_of(source)}
    used |= {target.reference.repository.registry for target in targets}
    if used and login.registry not in used:
        findings.refuse(
            "username",
            login.username,
            f"is not used: it is for {login.registry}, and what is pushed is on "
            f"{', '.join(sorted(used))}; set `registry`",
        )


def _refuse_unknown_names(values: Mapping[str, str], findings: Findings) -> None:
    for name in sorted(values.keys() - INPUT_BY_NAME.keys() - _RUNNERS_OWN):
        nearest = get_close_matches(name.lower().replace("_", "-"), INPUT_BY_NAME, n=1)
        hint = f"; the nearest is `{nearest[0]}`" if nearest else "; leave it out"
        findings.refuse(quoted(name), None, f"is no input{hint}")


Choice = TypeVar("Choice", bound=StrEnum)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads single inputs; on an error it records the problem and returns a harmless value."""

    texts: Mapping[str, str]
    findings: Findings

    def _refuse(self, name: str, sentence: str) -> None:
        self.findings.refuse(name, self.texts[name], sentence)

    def boolean(self, name: str) -> bool:
        value = _BOOLEANS.get(self.texts[name])
        if value is None:
            self._refuse(name, "is neither `true` nor `false`; write one of them")
        return bool(value)

    def integer(self, name: str, allowed: range) -> int:
        text = self.texts[name]
        # nine digits are more than any range here needs, and cheap to parse
        if re.fullmatch(r"[0-9]{1,9}", text) and int(text) in allowed:
            return int(text)
        self._refuse(name, f"is not a whole number from {allowed[0]} to {allowed[-1]}; give one")
        return allowed[0]

    def duration(self, name: str, *, zero: str = "") -> float:
        """Parse a duration; 0 is rejected unless ``zero`` gives it a meaning."""
        seconds = self.number(name, parse_duration, zero=zero)
        if seconds > _LONGEST:
            self._refuse(name, f"is longer than a workflow runs; give at most {_LONGEST / 3600:g}h")
        return seconds

    def number(self, name: str, parse: Callable[[str], Number], *, zero: str = "") -> Number:
        """Parse a number with a unit; 0 is rejected unless ``zero`` gives it a meaning."""
        try:
            number = parse(self.texts[name])
        except ValueError as error:
            self._refuse(name, f"{error}" + (f", or {zero}" if zero else ""))
            return parse("1")
        if not number and not zero:
            self._refuse(name, "is zero; give more")
        return number

    def backoff(self) -> tuple[float, float]:
        """Parse the first and the longest wait."""
        known = len(self.findings.problems)
        first, longest = self.duration("backoff-initial"), self.duration("backoff-max")
        if len(self.findings.problems) == known and first > longest:
            self._refuse(
                "backoff-initial",
                f"is longer than `backoff-max`, which is {self.texts['backoff-max']}; raise that "
                "or lower this",
            )
        return first, longest

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """Parse one of the words of ``choices``; return the first if it is none of them."""
        try:
            return choices(self.texts[name])
        except ValueError:
            words = ", ".join(f"`{each}`" for each in choices)
            self._refuse(name, f"is none of {words}; write one of them")
            return next(iter(choices))

    def platform(self) -> str | None:
        """Parse ``platform``; None if it is not given."""
        text = self.texts["platform"]
        if text and not _PLATFORM.fullmatch(text):
            self._refuse("platform", "is not a platform; write one such as linux/arm64")
        return text or None

    def referrers(self, locations: Locations) -> bool:
        """Parse ``referrers``, and report sources that can have no referrers."""
        asked = self.boolean("referrers")
        without = [source for source, where in locations.items() if not may_have_referrers(where)]
        if asked and without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            self.findings.notices.append(
                "`referrers` works with `oci-layout:`, `oci-archive:` and `docker://` "
                f"sources; nothing refers to {quoted(str(without[0]))}{more}."
            )
        return asked

    def mount_from(self, targets: Iterable[Target]) -> tuple[Repository, ...]:
        registries = (target.reference.repository.registry for target in targets)
        repositories = read_mount_from(self.texts["mount-from"], registries, self.findings)
        if repositories and self.texts["transport"] == Transport.ENGINE:
            self.findings.notices.append(
                "`mount-from` has no effect with `transport: engine`: `docker push` chooses "
                "its own mounts."
            )
        return repositories

    def logins(self) -> tuple[Login, ...]:
        registry = self.texts["registry"]
        credentials = (self.texts["username"], self.texts["password"])
        if registry != INPUT_BY_NAME["registry"].default and not any(credentials):
            self.findings.notices.append(
                f"registry {quoted(registry)} has no `username` and `password`: the Docker "
                "configuration is used there, if it has any."
            )
        return read_logins(
            registry=registry,
            username=self.texts["username"],
            password=self.texts["password"],
            registry_auth=self.texts["registry-auth"],
            findings=self.findings,
        )

    def file(self, name: str, path_of: Callable[[str], Path]) -> str:
        """Parse the path of a file to write; reject a folder now, before the run."""
        given = self.texts[name]
        if given and (given.endswith("/") or os.path.isdir(path_of(given))):  # noqa: PTH112 - raises nothing
            self._refuse(name, "is a folder; give the path of a file in it")
        return given

    def patterns(self, name: str) -> tuple[str, ...]:
        patterns = split_list(self.texts[name])
        if self.texts[name] and not patterns:
            self._refuse(name, "has no pattern in it; give one such as `v*.*.*`, or leave it out")
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                self.findings.refuse(
                    name,
                    pattern,
                    "can match no tag; patterns are compared with the tag alone, such as `v*.*.*`",
                )
        return tuple(patterns)

    def registries(self, name: str) -> tuple[str, ...]:
        registries = []
        for text in split_list(self.texts[name]):
            try:
                registries.append(parse_registry(text))
            except ValueError:
                self.findings.refuse(
                    name, text, "is not a registry; write its host alone, such as registry:5000"
                )
        return tuple(registries)
