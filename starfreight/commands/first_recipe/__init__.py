"""A first recipe for a directory of code and a base model: look at both, then write it."""
