"""Records the output of real docker clients when a push fails.

`python -m tests.support.record_failures` starts engines of three generations with both image
stores, a registry, and before it a front that gives the answers of `scenarios.toml`, and writes
what `docker push` printed to `tests/data/failures`, a file for each engine. Needs root on Debian
(see `scripts/engine-up`), openssl and setpriv; takes some minutes, most of it waits inside the
classic store.
"""
