"""The embedded default: the whole platform on one machine with Python alone, and the `tenure` command."""
