"""Withdrawn releases: a signed statement that a release must not be used any more.

The predicate is documented in ``docs/withdrawal-predicate.md``.
"""
