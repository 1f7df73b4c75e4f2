"""The origin of a package, as a statement that machines and people can check."""

from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check
from starfreight.packager.provenance.statement import PREDICATE_TYPE, make_statement

__all__ = ["PREDICATE_TYPE", "make_statement", "recorded_loss_check"]
