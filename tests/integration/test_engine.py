"""The engine adapter with real engines of both image stores, and with broken ones."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import anyio
import pytest
from anyio import to_thread
from tests.support.engines import Engine, running_engine
from tests.support.front import Answer, Behaviour, Front, Rule, Step, on
from tests.support.outcomes import held
from tests.support.processes import command_lines, wait_until
from tests.support.registry import Registry, running_registry

import ghcr_push.engine.api
import ghcr_push.engine.command
import ghcr_push.engine.docker
from ghcr_push.credentials import Credential, engine_auth
from ghcr_push.engine.docker import NAMES_PER_INSPECT, DockerEngine
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Image, Kind, Source
from ghcr_push.references import Repository, TagReference

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

MARK = token_hex(8)
"""A variable in the environment of all our docker commands, to find remaining processes."""

SLOW_UPLOADS = Behaviour(delays={Step.UPLOAD_POST: 5})


@pytest.fixture(scope="module", params=["classic", "containerd"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running_engine(f"int-{request.param}-{token_hex(3)}", store=request.param) as engine:
        engine.make_image("small", layers=2)
        engine.make_image("other", layers=3, seed=1)
        yield engine


@pytest.fixture
def docker(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DockerEngine:
    """Yield the adapter on the engine, with its own configuration."""
    return adapter(engine.environ, monkeypatch, tmp_path)


def adapter(
    environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    authorizations: Mapping[str, str] | None = None,
) -> DockerEngine:
    # the environment of the run counts, not that of this process
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    return DockerEngine(config, {**environ, "E2E_MARK": MARK}, authorizations or {})


def target(front: Front, tag: str = "1") -> TagReference:
    return TagReference(Repository(front.address, f"acme/{token_hex(4)}"), tag)


def ignore(lines: object) -> None:
    """Ignore the output of an engine."""


def id_of(engine: Engine, name: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", name)


async def images_of(docker: DockerEngine, names: Sequence[str]) -> dict[Source, Image | Failure]:
    """Find images of an engine; return their descriptions."""
    found = await docker.find([Source(name) for name in names])
    return {
        source: each if isinstance(each, Failure) else each.image for source, each in found.items()
    }


def no_docker_runs() -> bool:
    return not list(command_lines(MARK))


# -- images -----------------------------------------------------------------------------------


async def test_names_ids_and_digests_are_found_and_the_missing_named(
    docker: DockerEngine, engine: Engine
) -> None:
    small = id_of(engine, "small")
    present = ["small", "small:latest", "docker.io/library/small", small, small[7:19], "other"]
    missing = ["no-such", "no-such:1", "ghcr.io/acme/no-such:2", f"sha256:{'0' * 64}", "0" * 12]
    mixed = [name for pair in zip(present, missing, strict=False) for name in pair] + ["other"]
    found = await images_of(docker, mixed)
    assert set(found) == {Source(name) for name in mixed}
    for name in mixed:
        image = found[Source(name)]
        if name in missing:
            assert isinstance(image, Failure)
            assert image.kind is Kind.IMAGE_MISSING
            assert not image.retryable
        else:
            assert isinstance(image, Image), image
            assert image.id == id_of(engine, name)
            assert image.layers == len(image.diff_ids) == (3 if name == "other" else 2)


async def test_names_of_one_image_have_one_content(docker: DockerEngine, engine: Engine) -> None:
    names = [Source("small"), Source(id_of(engine, "small")), Source("other")]
    found = await docker.find(names)
    small, same, other = (found[name] for name in names)
    assert small is same
    assert small is not other


async def test_more_names_than_one_command_takes(docker: DockerEngine, engine: Engine) -> None:
    many = [f"no-such-{number}" for number in range(2 * NAMES_PER_INSPECT + 5)]
    names = [*many[:60], "small", *many[60:], "other"]
    found = await images_of(docker, names)
    images = {source.image: image for source, image in found.items() if isinstance(image, Image)}
    assert {name: image.id for name, image in images.items()} == {
        name: id_of(engine, name) for name in ("small", "other")
    }
    assert len(found) == len(names)


async def test_no_names_are_no_command(docker: DockerEngine) -> None:
    assert await docker.find([]) == {}


async def test_a_name_that_looks_like_an_option_is_a_name(docker: DockerEngine) -> None:
    [image] = (await docker.find([Source("--help")])).values()
    assert isinstance(image, Failure)


async def test_the_containerd_store_knows_the_digest_before_a_push(
    docker: DockerEngine, engine: Engine, front: Front, registry: Registry
) -> None:
    """Both with and without a name; the classic store learns the digest by compressing."""
    unnamed = engine.build("FROM small\nLABEL name=none\n")
    names = ["small", id_of(engine, "small"), unnamed]
    images = await images_of(docker, names)
    stored = "containerd" in engine.environ["ENGINE_DIR"]
    for source, image in images.items():
        assert isinstance(image, Image)
        assert image.digest == (image.id if stored else None), source
    reference = target(front)
    digest = await docker.push(Source("small"), reference, ignore)
    image = images[Source("small")]
    assert isinstance(image, Image)
    assert held(registry.address, str(reference)) == digest
    assert image.digest in {digest, None}


# -- push -------------------------------------------------------------------------------------


async def test_a_push_gives_the_digest_and_what_was_said(
    docker: DockerEngine, front: Front, registry: Registry
) -> None:
    reference, said = target(front), list[str]()
    digest = await docker.push(Source("small"), reference, said.extend)
    assert held(registry.address, str(reference)) == digest
    assert said[0].startswith("The push refers to repository")
    assert said[-1].startswith(f"1: digest: {digest} size: ")
    assert no_docker_runs()


@pytest.mark.parametrize("before", ["nothing", "another image", "the same image"])
@pytest.mark.parametrize("ends", ["well", "badly", "cancelled"])
async def test_the_engine_s_tags_are_as_before(
    docker: DockerEngine,
    engine: Engine,
    front: Front,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    ends: str,
) -> None:
    monkeypatch.setattr(ghcr_push.engine.docker, "RESTORE_LIMIT", 30)
    reference = target(front)
    if before != "nothing":
        engine.docker("tag", "other" if before == "another image" else "small", str(reference))
    names = {
        each: engine.docker("image", "ls", "--quiet", each) for each in (str(reference), "small")
    }
    if ends == "badly":
        front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT)),)))
        with pytest.raises(PushError):
            await docker.push(Source("small"), reference, ignore)
    elif ends == "cancelled":
        front.set(SLOW_UPLOADS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(docker.push, Source("small"), reference, ignore)
            await to_thread.run_sync(wait_until, lambda: uploads_begun(front) > 0)
            tasks.cancel_scope.cancel()
    else:
        await docker.push(Source("small"), reference, ignore)
    after = {each: engine.docker("image", "ls", "--quiet", each) for each in names}
    assert after == names
    engine.docker("image", "rm", str(reference), check=False)


async def test_a_push_that_is_refused_says_why(docker: DockerEngine, front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT), answer=Answer(status=500)),)))
    said: list[str] = []
    with pytest.raises(PushError) as caught:
        await docker.push(Source("small"), target(front), said.extend)
    assert "500 Internal Server Error" in caught.value.evidence.message
    assert classify(caught.value.evidence).kind is Kind.SERVER_ERROR
    assert any("500 Internal Server Error" in line for line in said)


async def test_a_push_of_an_image_that_is_not_there(docker: DockerEngine, front: Front) -> None:
    with pytest.raises(PushError) as caught:
        await docker.push(Source("no-such"), target(front), ignore)
    assert classify(caught.value.evidence).kind is Kind.IMAGE_MISSING


def uploads_begun(front: Front) -> int:
    return sum(entry.step is Step.UPLOAD_POST for entry in front.log())


async def test_cancelling_kills_the_docker_command_and_ends_the_push(
    docker: DockerEngine, front: Front, registry: Registry, tmp_path: Path
) -> None:
    reference = target(front)
    front.set(SLOW_UPLOADS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(docker.push, Source("small"), reference, ignore)
        await to_thread.run_sync(wait_until, lambda: uploads_begun(front) > 0)
        assert not no_docker_runs()
        tasks.cancel_scope.cancel()
    assert front.stats().writes_now > 0, "nobody waited for the uploads to end"
    assert no_docker_runs()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - no folder of ours is slow to read
    wait_until(lambda: front.stats().writes_now == 0)
    await anyio.sleep(1)
    assert front.stats().count(Step.MANIFEST_PUT) == 0
    assert held(registry.address, str(reference)) is None


async def test_cancelling_at_once_leaves_nothing_either(docker: DockerEngine, front: Front) -> None:
    for seconds in (0, 0.01, 0.05, 0.1, 0.2):
        with anyio.move_on_after(seconds):
            await docker.push(Source("small"), target(front), ignore)
        wait_until(no_docker_runs)  # a killed process may take a moment to exit


# -- the registry, as the engine sees it --------------------------------------------------------


async def test_the_engine_reads_a_tag_for_us(
    docker: DockerEngine, front: Front, registry: Registry
) -> None:
    reference = target(front)
    assert await docker.head(reference.repository, "1") is None
    digest = await docker.push(Source("small"), reference, ignore)
    seen = await docker.head(reference.repository, "1")
    assert seen is not None
    assert seen.digest == digest == held(registry.address, str(reference))
    assert seen.size > 0
    assert await docker.head(reference.repository, "2") is None


async def test_the_engine_gets_our_user_agent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running_registry(auth=("octocat", "s3cret:word")) as locked:
        repository = Repository(locked.address, "acme/app")
        stranger = adapter(engine.environ, monkeypatch, tmp_path)
        with pytest.raises(PushError) as caught:
            await stranger.head(repository, "1")
        assert classify(caught.value.evidence).kind in {Kind.UNAUTHORIZED, Kind.AUTH_BLIP}
        credential = Credential(username="octocat", password="s3cret:word")
        given = {locked.address: engine_auth(locked.address, credential)}
        known = adapter(engine.environ, monkeypatch, tmp_path, given)
        assert await known.head(repository, "1") is None


async def test_a_failing_registry_differs_from_an_empty_one(
    docker: DockerEngine, front: Front
) -> None:
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_HEAD, Step.MANIFEST_GET)),)))
    with pytest.raises(PushError):
        await docker.head(target(front).repository, "1")


# -- broken engines -----------------------------------------------------------------------------


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
        yield bound


async def all_fail(docker: DockerEngine, front: Front) -> list[Failure]:
    """Call every method with an engine that cannot answer; return the errors."""
    [image] = (await docker.find([Source("small")])).values()
    assert isinstance(image, Failure)
    failures = [image]
    reference = target(front)
    for ask in (
        lambda: docker.push(Source(str(reference)), reference, ignore),
        lambda: docker.head(reference.repository, "1"),
    ):
        with pytest.raises(PushError) as caught:
            await ask()
        failures.append(classify(caught.value.evidence))
    assert no_docker_runs()
    return failures


@pytest.mark.parametrize("there", [False, True], ids=["missing", "refusing"])
async def test_a_dead_socket(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine, there: bool
) -> None:
    path = tmp_path / "dead.sock"
    if there:
        with listening(path):
            pass
    environ = {**engine.environ, "DOCKER_HOST": f"unix://{path}"}
    failures = await all_fail(adapter(environ, monkeypatch, tmp_path), front)
    assert {each.kind for each in failures} == {Kind.ENGINE_UNREACHABLE}


async def test_a_silent_engine_is_given_up(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine
) -> None:
    for module in (ghcr_push.engine.command, ghcr_push.engine.api):
        monkeypatch.setattr(module, "SHORT_CALL_LIMIT", 0.5)
    path = tmp_path / "silent.sock"
    with listening(path):
        environ = {**engine.environ, "DOCKER_HOST": f"unix://{path}"}
        silent = adapter(environ, monkeypatch, tmp_path)
        [image] = (await silent.find([Source("small")])).values()
        assert isinstance(image, Failure)
        assert image.kind is Kind.ENGINE_UNREACHABLE
        with pytest.raises(PushError):
            await silent.head(target(front).repository, "1")
        with anyio.move_on_after(0.5) as scope:
            reference = target(front)
            await silent.push(Source(str(reference)), reference, ignore)
        assert scope.cancelled_caught
    assert no_docker_runs()


def commands_in(folder: Path, **scripts: str) -> str:
    """Make commands, and the shell that starts ours; return a PATH with nothing else."""
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


async def test_no_docker_command(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine
) -> None:
    environ = {**engine.environ, "PATH": commands_in(tmp_path / "bin")}
    lost = adapter(environ, monkeypatch, tmp_path)
    [image] = (await lost.find([Source("small")])).values()
    assert isinstance(image, Failure)
    assert image.kind is Kind.ENGINE_UNREACHABLE
    assert "no docker command" in image.message
    reference = target(front)
    with pytest.raises(PushError):
        await lost.push(Source(str(reference)), reference, ignore)


@pytest.mark.parametrize(
    "script",
    [r"printf '\377\376 denied\n' >&2; exit 1", r"printf '\377 digest: none\n'; exit 0"],
    ids=["on its error stream", "on its output"],
)
async def test_bytes_that_are_no_text(
    front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine, script: str
) -> None:
    """A fake docker prints it: the real one never did."""
    environ = {**engine.environ, "PATH": commands_in(tmp_path / "bin", docker=script)}
    odd = adapter(environ, monkeypatch, tmp_path)
    reference = target(front)
    with pytest.raises(PushError) as caught:
        await odd.push(Source(str(reference)), reference, ignore)
    assert caught.value.evidence.message
    [image] = (await odd.find([Source("small")])).values()
    assert isinstance(image, Failure)
