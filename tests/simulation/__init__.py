"""The real queue against a modelled registry, on a virtual clock."""

import logging

# planted internal errors are logged with their tracebacks, thousands of them
logging.getLogger("ghcr_push").addHandler(logging.NullHandler())
