"""The model card: purpose, training data, quality and license of a model."""

from starfreight.packager.card.render import render_card

__all__ = ["render_card"]
