"""Build packages from finished runs."""
