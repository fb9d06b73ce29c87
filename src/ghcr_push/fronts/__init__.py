"""The entry points: the GitHub runner, the command line, Python."""
