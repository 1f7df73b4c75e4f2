"""Runs jobs in containers of the Docker Engine on this machine."""
