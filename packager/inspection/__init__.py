"""The contents of a package for people who judge it: lawyers, reviewers, users. Nothing is verified."""
