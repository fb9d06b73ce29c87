"""Adapter: a Docker Engine, through python-on-whales, the docker command and the engine's API.

Tested with engines 20.10, 26.1 and 28.5 and the classic and (if it exists) the containerd image
store; not with 29. One attempt per call: docker's output becomes evidence, classified elsewhere.
"""
