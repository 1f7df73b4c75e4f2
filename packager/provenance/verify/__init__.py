"""Verify a package: its files, its statement, its signatures, and a policy."""
