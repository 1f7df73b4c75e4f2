"""Backends, which run jobs: a directory for each, behind one interface."""
