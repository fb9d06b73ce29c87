"""What oras attaches and cosign signs comes along, and they find it where it went.

docker-registry keeps no list of referrers, so that tags stand in; `crane registry serve` has one.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.engines import script_environment
from tests.support.registry import running_crane, running_registry

COMMAND = Path(sys.executable).with_name("ghcr-push")
SBOM, BUNDLE = "application/spdx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"


@contextmanager
def docker_registry() -> Iterator[str]:
    with running_registry() as registry:
        yield registry.address


Running = Callable[[], AbstractContextManager[str]]
REGISTRIES: Mapping[str, Running] = {"docker-registry": docker_registry, "crane": running_crane}
KINDS = pytest.mark.parametrize(
    ("source", "target"), [(one, two) for one in REGISTRIES for two in REGISTRIES]
)


class Oras:
    """The oras command, run in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environ = script_environment("tools-get", "peers")
        for name in ("layer", "sbom.json", "bundle.json", *(f"sbom-{n}.json" for n in range(8))):
            (folder / name).write_text(f'"{name}"')

    def run(self, *words: str) -> str:
        done = subprocess.run(
            ["oras", *words],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"oras {' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def push(self, name: str) -> str:
        """Push an artifact with the same bytes at any time; return its digest."""
        created = "org.opencontainers.image.created=2026-01-01T00:00:00Z"
        words = ("--artifact-type", "app/x", "--annotation", created, name, "layer")
        return self._digest("push", "--plain-http", *words)

    def attach(self, name: str, artifact_type: str, file: str) -> str:
        """Attach a file to `name`; return the digest of the referrer."""
        return self._digest("attach", "--plain-http", "--artifact-type", artifact_type, name, file)

    def _digest(self, *words: str) -> str:
        return str(json.loads(self.run(*words, "--format", "json"))["digest"])

    def discover(self, name: str) -> dict[str, list[str]]:
        """Return the types of the referrers of `name`, each with the types of its own referrers."""
        listed = json.loads(self.run("discover", "--plain-http", "--format", "json", name))
        found: dict[str, list[str]] = {}
        repository = name.partition("@")[0].rpartition(":")[0]
        for each in listed["manifests"]:
            below = self.discover(f"{repository}@{each['digest']}") if "@" not in name else {}
            found[each["artifactType"]] = [*found.get(each["artifactType"], []), *below]
        return found


@pytest.fixture
def oras(tmp_path: Path) -> Oras:
    return Oras(tmp_path)


def push(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [COMMAND, "--format", "json", "--backoff-initial", "200ms", "--referrers", *options],
        env={"PATH": "/nonexistent", "HOME": str(folder), "TMPDIR": str(folder)},
        capture_output=True,
        cwd=folder,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def attached(oras: Oras, address: str) -> str:
    """Push `base:1` with an SBOM, and a signature of the SBOM; return the digest of the first."""
    base = f"{address}/acme/base"
    digest = oras.push(f"{base}:1")
    sbom = oras.attach(f"{base}:1", SBOM, "sbom.json")
    oras.attach(f"{base}@{sbom}", BUNDLE, "bundle.json")
    return digest


@KINDS
def test_referrers_attached_by_oras_are_copied_and_oras_finds_them(
    source: str, target: str, oras: Oras, tmp_path: Path
) -> None:
    with REGISTRIES[source]() as here, REGISTRIES[target]() as there:
        attached(oras, here)
        options = ("--source", f"docker://{here}/acme/base:1", f"{there}/acme/copy:1")
        status, report = push(tmp_path, *options)
        assert status == 0, report
        assert oras.discover(f"{there}/acme/copy:1") == {SBOM: [BUNDLE]}
        assert [each["uploaded"] for each in report["targets"][0]["referrers"]] == [True, True]
        status, report = push(tmp_path, *options)
        assert (status, report["totals"]["unchanged"], report["totals"]["attempts"]) == (0, 1, 0)
        assert [each["uploaded"] for each in report["targets"][0]["referrers"]] == [False, False]


@pytest.mark.parametrize("archive", ["", ".tar", ".tar.gz"])
def test_a_layout_copied_by_oras_includes_its_referrers(
    archive: str, oras: Oras, tmp_path: Path
) -> None:
    with docker_registry() as registry:
        attached(oras, registry)
        copy = ("cp", "--recursive", "--from-plain-http", "--to-oci-layout")
        oras.run(*copy, f"{registry}/acme/base:1", "layout:1")
        source = "oci-layout:layout"
        if archive:
            words = ["tar", "--auto-compress", "-cf", f"layout{archive}", "-C", "layout", "."]
            subprocess.run(words, cwd=tmp_path, check=True)
            source = f"oci-archive:layout{archive}"
        status, report = push(tmp_path, "--source", source, f"{registry}/acme/copy:1")
        assert status == 0, report
        assert oras.discover(f"{registry}/acme/copy:1") == {SBOM: [BUNDLE]}


def test_many_writers_of_one_list_lose_nothing(oras: Oras, tmp_path: Path) -> None:
    """Four parallel runs with a referrer each, to one repository."""
    with docker_registry() as registry:
        names = [f"{registry}/acme/base-{number}" for number in range(4)]
        for number, name in enumerate(names):
            oras.push(f"{name}:1")
            oras.attach(f"{name}:1", f"{SBOM}-{number}", f"sbom-{number}.json")

        def run(name: str) -> int:
            target = f"{registry}/acme/copy:{name[-1]}"
            return push(tmp_path, "--source", f"docker://{name}:1", target)[0]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, names)) == [0] * 4
        there = oras.discover(f"{registry}/acme/copy:1")
        assert sorted(there) == [f"{SBOM}-{number}" for number in range(4)]


class Cosign:
    """A version of the cosign command with its own key; makes no request to the internet."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder
        more = {"COSIGN_PASSWORD": "", "HOME": str(folder)}
        self._environ = {**script_environment("tools-get", "signers"), **more}
        (folder / "predicate.json").write_text('{"SPDXID": "SPDXRef-DOCUMENT"}')
        self._offline = ["--tlog-upload=false"]
        self._run("generate-key-pair")
        if command == "cosign3":
            self._run("signing-config", "create", "--out", "nowhere.json")
            self._offline = ["--signing-config", "nowhere.json"]

    def sign(self, image: str) -> None:
        self._run("sign", *self._signing, image)

    def attest(self, image: str) -> None:
        self._run("attest", *self._signing, "--predicate=predicate.json", "--type=spdxjson", image)

    def finds(self, what: str, image: str, *more: str) -> bool:
        """Return whether `verify` or `verify-attestation` accepts an image."""
        words = ("--key=cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", *more)
        return self._call(what, *words, image).returncode == 0

    @property
    def _signing(self) -> list[str]:
        return ["--yes", "--key=cosign.key", "--allow-http-registry", *self._offline]

    def _run(self, *words: str) -> None:
        done = self._call(*words)
        assert done.returncode == 0, f"{self._command} {' '.join(words)}: {done.stderr}"

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._command, *words],
            cwd=self._folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.parametrize(
    ("command", "source", "target"),
    [
        ("cosign2", "docker-registry", "docker-registry"),
        ("cosign3", "docker-registry", "docker-registry"),
        ("cosign3", "docker-registry", "crane"),
        ("cosign3", "crane", "docker-registry"),
    ],
)
def test_cosign_verifies_a_copied_signature(
    command: str, source: str, target: str, oras: Oras, tmp_path: Path
) -> None:
    cosign = Cosign(command, tmp_path)
    with REGISTRIES[source]() as here, REGISTRIES[target]() as there:
        digest = oras.push(f"{here}/acme/base:1")
        cosign.sign(f"{here}/acme/base@{digest}")
        cosign.attest(f"{here}/acme/base@{digest}")
        options = ("--source", f"docker://{here}/acme/base:1", f"{there}/acme/copy:1")
        assert push(tmp_path, *options, "--no-referrers")[0] == 0
        copy = f"{there}/acme/copy@{digest}"
        assert not cosign.finds("verify", copy)
        assert push(tmp_path, *options)[0] == 0
        assert cosign.finds("verify", copy)
        assert cosign.finds("verify-attestation", copy, "--type=spdxjson")
