"""Adapter: a Docker Engine, through python-on-whales and the docker command.

Engines 20.10, 26.1 and 28.5 were run, with the classic and (where it exists) the containerd
image store; 29 was not. One try each: what docker prints becomes evidence, judged elsewhere.
"""

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio
import httpx2
from anyio import to_thread

from ghcr_push.credentials import docker_environment
from ghcr_push.failures import Evidence, Origin, PushError, classify
from ghcr_push.model import Descriptor, Failure, Image, Kind, Source
from ghcr_push.references import Digest, Repository, TagReference, parse_tag_reference
from ghcr_push.sources import ClassicImage, SavedImages, Spool, StoredImage
from ghcr_push.sources.command import output_of

DEFAULT_SOCKET: Final = "unix:///var/run/docker.sock"

NAMES_PER_INSPECT: Final = 50
"""Images asked for by one docker command: its start costs more than the question."""

LINES_KEPT: Final = 400
"""Lines of a push's output that are kept; progress of huge images is cut in the middle."""

QUESTION_LIMIT: Final = 60.0
"""Seconds for a question that a working engine answers at once."""

RESTORE_LIMIT: Final = 1.5
"""Seconds to put the engine's tags back: a cancelled run has 5 s for everything."""

# The process writes its own number before it becomes docker, so that it can be ended: the
# library starts docker for us, has no time limit and keeps the process to itself.
_LEASH: Final = ("sh", "-c", 'unset DOCKER_AUTH_CONFIG; echo $$ >"$0"; exec "$@"')

_SAID_DIGEST: Final = re.compile(r"^\S+: digest: (sha256:[0-9a-f]{64}) size: \d+\s*$")
_NO_SUCH_IMAGE: Final = re.compile(r"No such image: (\S+)")


class DockerEngine:
    """The engine that ``environ`` names, logged in by the private Docker configuration ``config``.

    ``authorizations`` are the values of ``X-Registry-Auth`` by registry; in ``spool`` lie the
    blobs on their way out.
    """

    def __init__(
        self,
        config: Path,
        environ: Mapping[str, str],
        authorizations: Mapping[str, str],
        spool: Spool | None = None,
    ) -> None:
        self._config = config
        self._environ = docker_environment(environ)
        self._authorizations = authorizations
        self._leashes = 0
        self._spool = spool or Spool()

    # -- images -----------------------------------------------------------------------------

    async def inspect_all(self, sources: Sequence[Source]) -> dict[Source, Image | Failure]:
        """Describe local images, or say for each why it cannot be; never raises."""
        found: dict[Source, Image | Failure] = {}
        for start in range(0, len(sources), NAMES_PER_INSPECT):
            chunk = sources[start : start + NAMES_PER_INSPECT]
            try:
                found.update(await self._inspect(chunk))
            except PushError as error:
                found.update(dict.fromkeys(chunk, classify(error.evidence)))
        return found

    async def _inspect(self, sources: Sequence[Source]) -> dict[Source, Image | Failure]:
        names = [source.image for source in sources]
        _, out, err = await self._ask("image", "inspect", "--format", "{{json .}}", "--", *names)
        missing = set(_NO_SUCH_IMAGE.findall(err))
        images = _images(out)
        present = [source for source in sources if not _is_missing(source.image, missing)]
        if len(images) == len(present):
            gone = {source: _missing(source) for source in sources if source not in present}
            return dict(zip(present, images, strict=True)) | gone
        if not images or len(sources) == 1:
            raise PushError(Evidence(origin=Origin.ENGINE, message=err.strip()))
        # which answer belongs to which name is unclear: ask one by one
        singly: dict[Source, Image | Failure] = {}
        for source in sources:
            singly.update(await self.inspect_all([source]))
        return singly

    @asynccontextmanager
    async def save(self, source: Source, image: Image) -> AsyncIterator[SavedImages]:
        """Have the engine save ``image`` and read it as it comes."""
        command = ["docker", "--config", str(self._config), "image", "save", "--", source.image]
        async with output_of(command, self._environ) as output:
            if image.digest is not None:
                stored = StoredImage(digest=image.digest)
                saved = SavedImages.stored(
                    output.reader, [stored], spool=self._spool, complaint=output.complaint
                )
            else:
                classic = ClassicImage(id=Digest(image.id), diff_ids=image.diff_ids)
                saved = SavedImages.classic(
                    output.reader, [classic], spool=self._spool, complaint=output.complaint
                )
            async with saved:
                yield saved

    # -- push -------------------------------------------------------------------------------

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Push ``source`` as ``target`` and return the digest that docker printed.

        Cancelling kills the docker command; the engine then drops the push by itself.
        """
        async with self._tagged(source, target), self._leash() as leash:
            lines: list[str] = []
            try:
                await self._killable(
                    leash, lambda: _stream(self._config, leash, str(target), lines)
                )
            finally:
                said(lines)
        for line in reversed(lines):
            if match := _SAID_DIGEST.match(line):
                return Digest(match[1])
        raise PushError(
            Evidence(origin=Origin.ENGINE, message="docker push ended well but named no digest")
        )

    @asynccontextmanager
    async def _tagged(self, source: Source, target: TagReference) -> AsyncIterator[None]:
        """Have ``source`` tagged as ``target`` inside, and the engine's tags as before after."""
        if _same_name(source.image, target):
            yield
            return
        images = await self.inspect_all([source, Source(str(target))])
        wanted, before = images[source], images[Source(str(target))]
        if isinstance(wanted, Failure):
            raise PushError(
                Evidence(origin=Origin.ENGINE, kind=wanted.kind, message=wanted.message)
            )
        if isinstance(before, Image) and before.id == wanted.id:
            yield
            return
        await self._tell("image", "tag", "--", source.image, str(target))
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(RESTORE_LIMIT):
                if isinstance(before, Image):
                    await self._ask("image", "tag", "--", before.id, str(target))
                else:
                    await self._ask("image", "rm", "--no-prune", "--", str(target))

    @asynccontextmanager
    async def _leash(self) -> AsyncIterator[Path]:
        self._leashes += 1
        leash = self._config / f"push-{self._leashes}.pid"
        try:
            yield leash
        finally:
            leash.unlink(missing_ok=True)

    @staticmethod
    async def _killable(leash: Path, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread; when cancelled, kill its docker until the thread ends."""
        done = False
        failed: PushError | None = None

        async def kill_when_cancelled() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    while not done:
                        _kill(leash)
                        await anyio.sleep(0.05)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill_when_cancelled)
            try:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
            except PushError as error:
                failed = error  # raised below: a task group would wrap it
            finally:
                done = True
                tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    # -- the registry, as the engine sees it --------------------------------------------------

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Have the engine ask the registry (``GET /distribution/{name}/json``) for a tag."""
        base, transport = self._api()
        value = self._authorizations.get(repository.registry)
        headers = {"X-Registry-Auth": value} if value else {}
        try:
            async with httpx2.AsyncClient(
                transport=transport, timeout=QUESTION_LIMIT, trust_env=False
            ) as client:
                answer = await client.get(
                    f"{base}/distribution/{repository}:{reference}/json", headers=headers
                )
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise _no_engine(f"the engine did not answer: {reason}") from error
        return _described(answer)

    def _api(self) -> tuple[str, httpx2.AsyncBaseTransport | None]:
        host = self._environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        scheme, _, rest = host.partition("://")
        if scheme == "unix":
            return "http://engine", httpx2.AsyncHTTPTransport(uds=rest)
        if scheme == "tcp" and not self._environ.get("DOCKER_TLS_VERIFY"):
            return f"http://{rest}", None
        raise PushError(
            Evidence(origin=Origin.ENGINE, message=f"the engine's API is not asked over {scheme}")
        )

    # -- the docker command ---------------------------------------------------------------------

    async def _ask(self, *arguments: str) -> tuple[int, str, str]:
        """Run docker; return its exit status and what it printed on both streams."""
        try:
            with anyio.fail_after(QUESTION_LIMIT):
                done = await anyio.run_process(
                    ["docker", "--config", str(self._config), *arguments],
                    env=docker_environment(os.environ),
                    stdout=PIPE,
                    stderr=PIPE,
                    check=False,
                )
        except TimeoutError as error:
            message = f"docker {arguments[0]} {arguments[1]} gave no answer"
            raise _no_engine(message) from error
        except FileNotFoundError as error:
            raise _no_engine("there is no docker command on the PATH") from error
        return (
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    async def _tell(self, *arguments: str) -> None:
        status, _, err = await self._ask(*arguments)
        if status:
            raise PushError(Evidence(origin=Origin.ENGINE, message=err.strip()))


def _stream(config: Path, leash: Path, target: str, lines: list[str]) -> None:
    """Push ``target``, adding to ``lines`` what docker prints; raise ``PushError``."""
    # imported in a thread and only for a push: it takes longer than everything else together
    from python_on_whales import DockerClient  # noqa: PLC0415
    from python_on_whales.exceptions import DockerException  # noqa: PLC0415

    client = DockerClient(config=config, client_call=[*_LEASH, str(leash), "docker"])
    try:
        for _, line in client.image.push(target, stream_logs=True) or ():
            lines.append(line.decode(errors="replace").rstrip("\r\n"))
            if len(lines) > LINES_KEPT:
                del lines[LINES_KEPT // 2]
    except DockerException as error:
        text = error.stderr or "\n".join(lines)
        raise PushError(Evidence(origin=Origin.ENGINE, message=text)) from error
    except ValueError as error:
        # the library reads what docker prints as strict UTF-8, and an inspection as JSON
        printed = error.object if isinstance(error, UnicodeDecodeError) else b""
        text = printed.decode(errors="replace") or f"docker said nothing that can be read: {error}"
        raise PushError(Evidence(origin=Origin.ENGINE, message=text)) from error


def _no_engine(message: str) -> PushError:
    return PushError(Evidence(origin=Origin.ENGINE, kind=Kind.ENGINE_UNREACHABLE, message=message))


def _kill(leash: Path) -> None:
    """Kill the process named in ``leash`` if it still is a child of ours."""
    try:
        number = int(leash.read_text())
        parent = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1]
        if int(parent) == os.getpid():
            os.kill(number, signal.SIGKILL)
    except (OSError, ValueError, IndexError):
        return  # not started yet, or gone already


def _images(printed: str) -> list[Image]:
    try:
        return [_image(json.loads(line)) for line in printed.splitlines() if line.strip()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"docker image inspect told nothing that can be read: {printed[:200]}"
        raise PushError(Evidence(origin=Origin.ENGINE, message=message)) from error


def _image(inspected: dict[str, object]) -> Image:
    digest = _digest(inspected)
    layers = inspected.get("RootFS")
    names = layers.get("Layers") if isinstance(layers, dict) else None
    diff_ids = tuple(Digest(name) for name in names or ())
    return Image(
        id=str(inspected["Id"]),
        layers=len(diff_ids),
        digest=digest,
        diff_ids=diff_ids,
        size=int(str(inspected.get("Size") or 0)),
    )


def _digest(inspected: dict[str, object]) -> Digest | None:
    """Return the image's digest where the containerd store holds it; the classic one knows none.

    Engine 28.5 names a descriptor. In 26.1 the ID is the digest, told from a classic image's by
    being a repository's digest too, or, where the image has no name, by the snapshotter's.
    """
    descriptor = inspected.get("Descriptor")
    if isinstance(descriptor, dict):
        return Digest(descriptor["digest"])
    name, driver = str(inspected["Id"]), inspected.get("GraphDriver")
    repositories = inspected.get("RepoDigests")
    if any(str(each).endswith(f"@{name}") for each in _listed(repositories)):
        return Digest(name)
    snapshotter = isinstance(driver, dict) and driver.get("Name") == "overlayfs"
    return Digest(name) if snapshotter else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_missing(name: str, missing: set[str]) -> bool:
    return name in missing or f"{name}:latest" in missing


def _missing(source: Source) -> Failure:
    return classify(
        Evidence(
            origin=Origin.ENGINE,
            kind=Kind.IMAGE_MISSING,
            message=f"the engine has no image {source.image!r}",
        )
    )


def _same_name(image: str, target: TagReference) -> bool:
    try:
        return parse_tag_reference(image) == target
    except ValueError:
        return False  # an ID or a digest


def _described(answer: httpx2.Response) -> Descriptor | None:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success:
        descriptor = body["Descriptor"]
        return Descriptor(
            descriptor["mediaType"], Digest(descriptor["digest"]), int(descriptor["size"])
        )
    message = str(body.get("message", answer.text[:2000]))
    if "manifest unknown" in message or "name unknown" in message or "not found" in message:
        return None
    raise PushError(Evidence(origin=Origin.ENGINE, message=message))
