"""A scripted `docker` command: its images, and its answers to every call.

It is first on the PATH of the run under test (`FakeDocker.environ`), and records its calls. Calls
without a rule are answered as an engine would: `image inspect`, `image save`, `image tag`, `image
rm`, and `image push`, which uploads the image to its registry over plain HTTP.
"""

import json
import os
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support.loadable import Loadable, archive_of, archive_of_classic
from tests.support.saved import MANIFEST, digest_of

_SCRIPT = Path(__file__).with_name("docker_command.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """The command's reaction to calls whose words (after the options before them) match `asked`.

    The first `skip` such calls pass by, and of the rest the `first` ones (None: all) are
    answered. `effect`: `instead`, this is all that happens; `after`, the engine does what it was
    asked and then says this in place of its own words.
    """

    asked: str
    status: int = 0
    out: bytes = b""
    err: str = ""
    seconds: float = 0
    skip: int = 0
    first: int | None = None
    effect: Literal["instead", "after"] = "instead"


class FakeDocker:
    """The command in `folder`; `images` by the names that a run may request."""

    def __init__(
        self,
        folder: Path,
        images: Mapping[str, Loadable] | None = None,
        *,
        store: Literal["classic", "containerd"] = "classic",
        says: Sequence[Says] = (),
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.calls_file = folder / "calls"
        self.calls_file.touch()
        given = images or {}
        data = {
            "images": {name: _described(name, image, store) for name, image in given.items()},
            "blobs": {
                digest_of(blob): b64encode(blob).decode()
                for image in given.values()
                for blob in (*image.blobs, image.manifest)
            },
            "says": [
                {name: getattr(each, name) for name in Says.__slots__}
                | {"out": b64encode(each.out).decode()}
                for each in says
            ],
        }
        (folder / "data.json").write_text(json.dumps(data))
        for name, image in given.items():
            classic = store == "classic"
            archive = archive_of_classic(name, image) if classic else archive_of({name: image})
            (folder / f"{digest_of(image.config)[7:]}.tar").write_bytes(archive)
        command = folder / "docker"
        command.write_text(f"#!{sys.executable} -SI\n" + _SCRIPT.read_text())
        command.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        """The variables with which a run finds this command and no engine's socket."""
        return {
            "PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{self._folder}/none.sock",
        }

    @property
    def calls(self) -> list[str]:
        """The words of each call, without the options before them, in order."""
        return self.calls_file.read_text().splitlines()

    @property
    def variables(self) -> set[str]:
        """The names of all variables in the environment of any call."""
        return {name for call in self._given for name in call["variables"]}

    @property
    def logins(self) -> dict[str, Any]:
        """The logins in the last call's configuration: `user:password` by registry."""
        logins: dict[str, Any] = self._given[-1]["logins"]
        return logins

    @property
    def _given(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self._folder / "given").read_text().splitlines()]

    def count(self, words: str) -> int:
        """Return how many calls began with `words`."""
        return sum(call.startswith(words) for call in self.calls)


def _described(name: str, image: Loadable, store: str) -> dict[str, Any]:
    layers = {"Type": "layers", "Layers": list(image.diff_ids)}
    said: dict[str, Any] = {
        "Id": digest_of(image.config),
        "RepoTags": [name],
        "RepoDigests": [],
        "Architecture": image.architecture,
        "Os": "linux",
        "Size": sum(map(len, image.layers)),
        "GraphDriver": {"Name": "overlay2", "Data": None},
        "RootFS": layers,
    }
    if store == "containerd":
        manifest = image.manifest
        said["Id"] = digest_of(manifest)
        said["Size"] = sum(map(len, image.blobs))
        said["GraphDriver"] = {"Name": "overlayfs", "Data": None}
        said["Descriptor"] = {
            "mediaType": MANIFEST,
            "digest": digest_of(manifest),
            "size": len(manifest),
        }
    return {
        "inspect": said,
        "archive": f"{digest_of(image.config)[7:]}.tar",
        "manifest": digest_of(image.manifest),
        "layers": [digest_of(blob) for blob in image.blobs],
    }
