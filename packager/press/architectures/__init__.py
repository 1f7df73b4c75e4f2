"""Architectures supported by the press, one file each."""

from __future__ import annotations

from starfreight.checkpoint.layout import Architecture
from starfreight.packager.press.architectures.interface import ArchitecturePlan, Role, TensorPlan
from starfreight.packager.press.architectures.starcoder import StarCoder
from starfreight.packager.press.architectures.starcoder2 import StarCoder2

__all__ = ["ArchitecturePlan", "Role", "TensorPlan", "architecture_plan"]

_PLANS: dict[Architecture, ArchitecturePlan] = {"starcoder": StarCoder(), "starcoder2": StarCoder2()}


def architecture_plan(architecture: Architecture) -> ArchitecturePlan:
    """The plan of an architecture."""
    return _PLANS[architecture]
