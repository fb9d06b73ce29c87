"""Where manifests and blobs come from when we upload them ourselves.

Nothing here starts a process or opens a socket: byte streams are handed in.
"""

from ghcr_push.sources.images import ClassicImage, SavedImage, StoredImage
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool, SpooledBlob, temporary_folder

__all__ = [
    "ClassicImage",
    "SavedImage",
    "SavedImages",
    "Spool",
    "SpooledBlob",
    "StoredImage",
    "temporary_folder",
]
