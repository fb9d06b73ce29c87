"""Where manifests and blobs come from when we upload them ourselves.

Nothing here starts a process or opens a socket: byte streams are handed in.
"""
