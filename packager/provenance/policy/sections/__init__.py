"""The sections of a policy: one module for each, with the interface and a table."""
