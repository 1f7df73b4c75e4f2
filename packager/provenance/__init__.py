"""The origin of a package, as a statement that machines and people can check."""
