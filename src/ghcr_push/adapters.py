"""Builds the adapters of one run; the only module that imports all of them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from anyio import to_thread

from ghcr_push import credentials
from ghcr_push.engine.command import content_trust_notices
from ghcr_push.engine.docker import DockerEngine
from ghcr_push.planning.settings import Settings
from ghcr_push.pushing.execution import Adapters
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.locations import SourcesByLocation
from ghcr_push.sources.remote import RegistrySources
from ghcr_push.sources.spool import Spool, temporary_folder


@asynccontextmanager
async def new_adapters(
    settings: Settings,
    environ: Mapping[str, str],
    registries: Sequence[str],
    *,
    backoff: Backoff,
    notice: Callable[[str], None],
) -> AsyncIterator[Adapters]:
    """Log in to ``registries`` and yield the adapters of a run while the block runs.

    ``backoff`` retries reads of a source; ``notice`` gets sentences for the reader.
    """
    known = await to_thread.run_sync(
        credentials.resolve_for_job,
        registries,
        settings.token,
        settings.logins,
        environ,
        abandon_on_cancel=True,
    )
    for sentence in (*known.notices, *content_trust_notices(environ)):
        notice(sentence)
    place = temporary_folder(environ)
    spool = Spool(settings.spool_size, place)
    folder = credentials.private_docker_config(
        known.credentials, credentials.docker_config_folder(environ), place
    )
    client = RegistryClient(
        known.credentials, insecure_registries=settings.insecure_registries, environ=environ
    )
    with folder as docker_config:
        engine = DockerEngine(
            docker_config,
            environ,
            {name: credentials.engine_auth(name, of) for name, of in known.credentials.items()},
            spool,
            settings.platform,
            compress=settings.compress_layers,
        )
        disk = DiskSources(
            settings.path_of,
            spool,
            settings.platform,
            referrers=settings.referrers,
            compress=settings.compress_layers,
        )
        async with client:
            remote = RegistrySources(
                client,
                backoff,
                settings.platform,
                referrers=settings.referrers,
                notice=notice,
            )
            sources = SourcesByLocation(engine, disk, remote, settings.annotations)
            yield Adapters(sources, client, engine)
