"""Twenty tags of a fifteen-layer image, pushed by several clients in turn."""
