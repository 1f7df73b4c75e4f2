"""What a recipe will cost, from the shape of its base model alone: no weights, no GPU."""

from starfreight.jobs.planning.memory import GpuMemory, training_memory
from starfreight.jobs.planning.shapes import base_shape

__all__ = ["GpuMemory", "base_shape", "training_memory"]
"""The planner's parts; ``starfreight.commands.plan`` puts them together."""
