"""What the action's container runs: hold the signals, then load the rest and do the job.

Outside a runner arguments make it the command ``ghcr-push``.
"""

import os
import sys

from ghcr_push.loading import without_garbage_collection
from ghcr_push.signals import Interruption

interruption = Interruption.installed()

if sys.argv[1:] and os.environ.get("GITHUB_ACTIONS") != "true":
    from ghcr_push.fronts.cli import main as command

    command()

with without_garbage_collection():
    from ghcr_push.fronts.action import main  # only now: the signals are held before it loads

sys.exit(main(interruption))
