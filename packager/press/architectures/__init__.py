"""The architectures that the press can convert, one file each."""

from __future__ import annotations

from packager.press.architectures.interface import ArchitecturePlan, Role, TensorPlan
from packager.press.architectures.starcoder import StarCoder
from packager.press.architectures.starcoder2 import StarCoder2
from starfreight.checkpoint.layout import Architecture

__all__ = ["ArchitecturePlan", "Role", "TensorPlan", "architecture_plan"]

_PLANS: dict[Architecture, ArchitecturePlan] = {"starcoder": StarCoder(), "starcoder2": StarCoder2()}


def architecture_plan(architecture: Architecture) -> ArchitecturePlan:
    """The plan of an architecture."""
    return _PLANS[architecture]
