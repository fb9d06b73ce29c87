"""Prints the user's guide to failures: ``python -m ghcr_push.failures > docs/failures.md``."""

import sys

from ghcr_push.failures.guide import guide

sys.stdout.write(guide())
