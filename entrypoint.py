"""What the action's container runs: hold the signals, then load the rest and do the job.

Outside a runner arguments make it the command ``ghcr-push``.
"""

import gc
import os
import sys

from ghcr_push.signals import Interruption

interruption = Interruption.installed()

if sys.argv[1:] and os.environ.get("GITHUB_ACTIONS") != "true":
    from ghcr_push.fronts.cli import main as command

    command()

gc.disable()  # what loads leaves no garbage, and looking for it would be a tenth of the time

from ghcr_push.fronts.action import main  # noqa: E402 - the signals are held before it loads

gc.freeze()
gc.enable()
sys.exit(main(interruption))
