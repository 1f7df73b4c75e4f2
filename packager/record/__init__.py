"""The record of a package as plain files with names: all but its models, for archives and for lawyers."""
