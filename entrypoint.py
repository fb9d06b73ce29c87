"""What the action's container runs: hold the signals, then load the rest and do the job."""

import sys

from ghcr_push.signals import Interruption

interruption = Interruption.installed()

from ghcr_push.fronts.action import main  # noqa: E402 - the signals are held before it loads

sys.exit(main(interruption))
