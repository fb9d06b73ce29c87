"""One table that turns any failure of a push into a ``Failure`` with advice.

``rules`` is the table, a row per way to fail; ``policies`` has the consequences of each kind.
``scripts/failures_guide.py`` prints the user's guide made from both.
"""

from ghcr_push.failures.classify import MOST_DETAILS, classify
from ghcr_push.failures.errors import ErrorInfo, Origin, PushError
from ghcr_push.failures.secrets import without_secrets

__all__ = ["MOST_DETAILS", "ErrorInfo", "Origin", "PushError", "classify", "without_secrets"]
