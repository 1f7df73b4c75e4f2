"""Cost of training, from the shape of the base model alone: no weights, no GPU.

plan = plan_training(recipe, base_shape(recipe.base, Path(".")), find_gpu("rtx4090"))
print(plan.gpu_memory.total, plan.seconds)
"""

from starfreight.jobs.planning.training_plan import TrainingPlan, plan_training

__all__ = ["TrainingPlan", "plan_training"]
