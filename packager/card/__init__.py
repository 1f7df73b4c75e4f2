"""The model card: what the model is, what it learned from, how good it is, and under which terms."""

from starfreight.packager.card.render import render_card

__all__ = ["render_card"]
