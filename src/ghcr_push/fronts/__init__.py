"""The ways in: the GitHub runner, the command line, Python."""
