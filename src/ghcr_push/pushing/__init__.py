"""The core: a queue of targets, the limit on writes in flight, and the waits between attempts."""
