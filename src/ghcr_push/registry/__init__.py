"""The registries of a run, as our own process reaches them: an OCI distribution client.

One attempt per call: nothing here retries or sleeps, except that a rejected token is renewed once.
"""
