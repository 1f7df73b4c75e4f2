"""Builds packages from finished runs."""
