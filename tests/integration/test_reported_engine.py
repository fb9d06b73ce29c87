"""What people reported of engines and their images (docs/reported.md, second section)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.cases import World, image, running_world
from tests.support.docker import Says

import ghcr_push.pushing.group

LARGE = 3000
"""Bytes from which an image is a large one in these tests."""

SIZES = {"small": LARGE // 10, "large": LARGE}


@pytest.fixture(autouse=True)
def _large_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghcr_push.pushing.group, "QUICKER_FROM", LARGE)


@contextmanager
def containerd(folder: Path, size: str, says: Sequence[Says] = ()) -> Iterator[World]:
    """Run a world whose engine has the containerd store, and `app:1` of that size in it."""
    app = image(layers=1, size=SIZES[size])
    with running_world(folder, images={"app:1": app}, store="containerd", says=says) as world:
        yield world


def calls(world: World, words: str) -> int:
    assert world.docker is not None
    return world.docker.count(words)


# -- docker push first, and it fails for good ---------------------------------------------------

FOR_GOOD = {
    "plain http": 'Get "https://192.0.2.7/v2/": http: server gave HTTP response to HTTPS client',
    "private CA": 'Get "https://registry.test/v2/": tls: failed to verify certificate: x509: '
    "certificate signed by unknown authority",
    "one platform of two": "missing content: content digest sha256:" + "0" * 64 + ": not found\n"
    "Note: You're trying to push a manifest list/index which references multiple platform "
    "specific manifests, but not all of them are available locally",
    "no host": 'Get "https://registry.test/v2/": dial tcp: lookup registry.test: no such host',
    "credentials": "unauthorized: authentication required",
    "denied": "denied: requested access to the resource is denied",
    "no words": "",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("words", FOR_GOOD)
def test_what_docker_push_fails_at_for_good_we_carry(tmp_path: Path, size: str, words: str) -> None:
    says = [Says(asked="image push *", status=1, err=FOR_GOOD[words])]
    with containerd(tmp_path, size, says) as world:
        end = world.push("acme/app:1", "acme/app:2")
        assert end.outcomes == dict.fromkeys(["acme/app:1", "acme/app:2"], "pushed"), end.log
        assert world.registry.lacking("acme/app:1") == []
        assert calls(world, "image push") == (size == "large")
