"""Push container images to GitHub Container Registry, reliably."""
