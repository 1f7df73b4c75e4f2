"""Suites of problems: an interface and a file for each suite."""
