"""Checks of this machine: each finds one thing, or names the command that gets it."""
