"""Filters that leave samples out of the training data: one file per reason, behind one interface."""
