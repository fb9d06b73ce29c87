"""The sources of manifests and blobs that we upload ourselves.

Nothing here starts a process or opens a socket: callers pass byte streams.
"""
