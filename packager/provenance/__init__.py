"""The origin of a package, as a statement that machines and people can check."""

from starfreight.packager.provenance.statement import PREDICATE_TYPE, make_statement

__all__ = ["PREDICATE_TYPE", "make_statement"]
