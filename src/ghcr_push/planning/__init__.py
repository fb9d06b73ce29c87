"""Inputs to validated settings, and settings to a plan; pure."""
