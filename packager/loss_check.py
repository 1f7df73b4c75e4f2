"""The result of comparing a package's file with training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PASSED = "within the bounds"
NOT_MEASURED = "not measured"
SKIPPED = "skipped on request"
NOT_INSTALLED = "llama.cpp is not installed"

Verdict = Literal["within the bounds", "not measured", "skipped on request"]
VERDICTS = (PASSED, NOT_MEASURED, SKIPPED)


@dataclass(frozen=True)
class LossCheck:
    """A comparison, or the reason for none.

    The file's own loss is left out: its last digits depend on the processor.

    Attributes:
        verdict: a file outside the bounds makes no package.
        reason: why it was not measured.
        file: name of the file.
        tokens: number of tokens compared.
        training_loss: their mean loss in training, in nats per token.
        bound: largest difference of the mean losses, in nats per token.
    """

    verdict: Verdict
    reason: str | None = None
    file: str | None = None
    tokens: int | None = None
    training_loss: float | None = None
    bound: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result for machines, without what does not apply."""
        fields = {
            "verdict": self.verdict,
            "reason": self.reason,
            "file": self.file,
            "tokens": self.tokens,
            "trainingLoss": self.training_loss,
            "bound": self.bound,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def sentence(self) -> str:
        """The result for the model card."""
        if self.verdict == PASSED:
            return (
                f"On {self.tokens:,} tokens, the loss of {self.file} in llama.cpp is within {self.bound:g} "
                "nats per token of the loss that training measured."
            )
        why = f": {self.reason}" if self.reason else " on request"
        return f"The loss of these files in llama.cpp was not compared with training{why}."


def check_in_words(recorded: Mapping[str, Any]) -> str:
    """A recorded result, in one line."""
    verdict, reason = recorded.get("verdict"), recorded.get("reason")
    if verdict == PASSED:
        bound = f"within {recorded.get('bound')} nats per token of training's"
        return f"{bound}, on {recorded.get('tokens')} tokens ({recorded.get('file')})"
    return f"{verdict}: {reason}" if reason else str(verdict)
