"""The command in a terminal: bars during uploads, and lines that stay."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.engines import Engine
from tests.support.front import Behaviour, Front, Step
from tests.support.screen import Terminal, screen

LAYERS = 4
COMMAND = Path(sys.executable).with_name("ghcr-push")


def test_bars_show_how_far_the_layers_are_and_the_end_stays(classic: Engine, front: Front) -> None:
    classic.make_image("watched", layers=LAYERS, size=50_000, seed=71)
    front.set(Behaviour(delays={Step.UPLOAD_PUT: 0.5}))
    image, terminal = f"{front.address}/acme/watched", Terminal()
    status = subprocess.run(
        [COMMAND, "--image", image, "--tags", "1,2", "--source", "watched", "--max-parallel", "1"],
        env={**os.environ, **classic.environ, "TERM": "xterm-256color"},
        stdout=terminal.fd,
        stderr=terminal.fd,
        check=False,
    ).returncode
    text = terminal.closed()
    assert status == 0, text
    # bars, of the tags and of the image, with its bytes and how many of its blobs are there; where
    # the estimate of the time left is long, the blobs have no room beside it
    assert "0 of 2" in text
    assert re.search(rf"\d\.\d / \d\.\d\+? MB .*\([0-{LAYERS}] of {LAYERS + 1} blobs\)", text)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    left = [line for line in screen(text) if line]
    assert not any("━" in line for line in left)
    assert any(line.startswith("✅ 2 of 2 tags pushed") for line in left)
    assert left[-1].strip() == "2 pushed"
