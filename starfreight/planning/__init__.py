"""What a recipe will cost, from the shape of its base model alone: no weights, no GPU."""

from starfreight.planning.memory import GpuMemory, training_memory
from starfreight.planning.shapes import base_shape

__all__ = ["GpuMemory", "base_shape", "training_memory"]
"""The planner's parts; ``starfreight.commands.plan`` puts them together."""
