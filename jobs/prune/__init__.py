"""Removes old runs: on this machine, and on a cluster's volume."""
