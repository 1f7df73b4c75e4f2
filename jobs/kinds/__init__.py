"""Kinds of jobs: an interface, and the table of those known."""
