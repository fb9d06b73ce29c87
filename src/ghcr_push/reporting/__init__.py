"""A finished, or broken-off, run as people and machines read it; pure functions of a ``Report``."""
