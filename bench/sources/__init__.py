"""Layouts and images in registries, pushed by several clients in turn."""
