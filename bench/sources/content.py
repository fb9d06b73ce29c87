"""The content to push: a layout on disk, or the same image in a registry."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random

from bench.sources.measuring import environment, front_process
from bench.sources.scenes import NEAR, Scene
from tests.support.front import Behaviour
from tests.support.front.steps import ALL
from tests.support.layouts import CONFIG, LAYER, Made
from tests.support.registry import running_registry
from tests.support.saved import MANIFEST, config_of


def written(scene: Scene, folder: Path) -> str:
    """Write a layout of the scene's image, of random bytes; return the source that names it."""
    made, random = Made(), Random(scene.title)
    layers = [random.randbytes(scene.size) for _ in range(scene.layers)]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.named(config_of(layers), CONFIG),
        "layers": [made.named(each, LAYER) for each in layers],
    }
    made.tag(made.named(json.dumps(document).encode(), MANIFEST), None)
    return f"oci-layout:{made.written(folder)}"


@contextmanager
def in_registry(layout: str) -> Iterator[str]:
    """Run a registry, 30 ms away, with the content of a layout; yield the source that names it."""
    place = layout.partition(":")[2]
    with (
        running_registry() as registry,
        front_process(registry.address, Behaviour(delays=dict.fromkeys(ALL, NEAR))) as address,
        tempfile.TemporaryDirectory(prefix="bench-") as home,
    ):
        command = ["crane", "push", place, f"{registry.address}/seed/app:1"]
        subprocess.run(command, env=environment(home), capture_output=True, check=True)
        yield f"docker://{address}/seed/app:1"


@contextmanager
def source_of(kind: str, scene: Scene) -> Iterator[str]:
    """Give the source of a scene: a layout, or an image in a registry."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        layout = written(scene, Path(folder, "layout"))
        with nullcontext(layout) if kind == "layout" else in_registry(layout) as source:
            yield source
