"""Memory while a saved image is read: the same, however large the image."""

import hashlib
import os
import re
import subprocess
import sys

from tests.support.engines import ROOT

SIZE = 1 << 30
MEGABYTES = 80
"""Half of the promise; 30 to 40 were measured, and the interpreter alone has 20."""

WRITER = """
import sys, tarfile
from tests.support.saved import config_of, digest_of
size, diff_id, config = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
for name, content, times in (diff_id, bytes(1 << 20), size >> 20), (digest_of(config), config, 1):
    entry = tarfile.TarInfo("blobs/sha256/" + name.removeprefix("sha256:"))
    entry.size = len(content) * times
    sys.stdout.buffer.write(entry.tobuf())
    for _ in range(times):
        sys.stdout.buffer.write(content)
    sys.stdout.buffer.write(bytes(-entry.size % 512))
sys.stdout.buffer.write(bytes(1024))
"""

READER = """
import os, sys, anyio
from functools import partial
from pathlib import Path
from ghcr_push.model import Image
from ghcr_push.sources.classic import read_classic
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.tarstream import TarStream
from ghcr_push.engine.output import output_of

async def read(identifier, diff_id, *command):
    image = Image(id=identifier, layers=1, diff_ids=(diff_id,))
    async with (
        output_of(command, os.environ) as output,
        SavedImages(partial(read_classic, image, TarStream(output.reader)), Spool()) as saved,
    ):
        async for blob in saved:
            blob.release()
    print(len(saved.image.manifests), Path("/proc/self/status").read_text())

anyio.run(read, *sys.argv[1:])
"""


def test_a_layer_of_a_gigabyte_of_zeros_is_read_in_little_memory() -> None:
    sha256 = hashlib.sha256()
    for _ in range(SIZE >> 20):
        sha256.update(bytes(1 << 20))
    diff_id = f"sha256:{sha256.hexdigest()}"
    config = f'{{"rootfs": {{"diff_ids": ["{diff_id}"]}}}}'
    identifier = f"sha256:{hashlib.sha256(config.encode()).hexdigest()}"
    command = [sys.executable, "-c", WRITER, str(SIZE), diff_id, config]
    environ = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    read = subprocess.run(
        [sys.executable, "-c", READER, identifier, diff_id, *command],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    peak = re.search(r"VmHWM:\s*(\d+) kB", read)
    assert read.startswith("1 ")
    assert peak is not None
    assert int(peak[1]) / 1024 < MEGABYTES
