"""One table: anything that can go wrong with a push, to a ``Failure`` that says what to do.

``rules`` is the table, a row per way to fail; ``treatments`` says what becomes of each kind.
``python -m ghcr_push.failures`` prints the user's guide made from both.
"""

from ghcr_push.failures.classify import classify
from ghcr_push.failures.evidence import Evidence, Origin, PushError

__all__ = ["Evidence", "Origin", "PushError", "classify"]
