"""Renders a finished or interrupted run for people and machines; pure functions of a ``Report``."""
