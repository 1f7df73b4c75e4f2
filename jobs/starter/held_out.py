"""Evaluation of the starter on held-out modules."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfreight.jobs.data.fim import MARKS, arrange, cut_line, shorten
from starfreight.jobs.starter.corpus import SourceFile
from starfreight.jobs.starter.examples import BROAD, EMPTY, FIM_TOKENS, pass_rows
from starfreight.jobs.starter.pretrain import token_loss
from starfreight.jobs.starter.tokenizer import END_OF_TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

_LINE_CONTEXT = 400
_LONGEST_LINE = 40
_SEED = 20


@dataclass(frozen=True)
class Quality:
    """Figures over the held-out modules.

    Attributes:
        loss: of the unchanged modules, cut into contexts, in nats per token.
        bits_per_byte: the same in bits per byte of source, which makes vocabularies comparable.
        training_loss: of examples made as for training, half of them fill-in-the-middle, in nats per token.
        lines: number of single lines removed.
        lines_right: number of them restored exactly by greedy decoding.
    """

    loss: float
    bits_per_byte: float
    training_loss: float
    lines: int
    lines_right: int


def measure(
    model: PreTrainedModel, tokenizer: Tokenizer, held_out: Sequence[SourceFile], length: int, lines: int
) -> Quality:
    """Evaluate ``model`` on ``held_out`` with contexts of ``length`` tokens and ``lines`` missing lines."""
    model.eval()
    nats, tokens = _plain(model, tokenizer, held_out, length)
    return Quality(
        loss=round(nats / tokens, 4),
        bits_per_byte=round(nats / math.log(2) / sum(file.size for file in held_out), 4),
        training_loss=round(_as_trained(model, tokenizer, held_out, length), 4),
        lines=lines,
        lines_right=_lines_right(model, tokenizer, held_out, lines),
    )


def complete(model: PreTrainedModel, tokenizer: Tokenizer, prefix: str, suffix: str, most: int) -> str:
    """The greedy completion between ``prefix`` and ``suffix``, at most ``most`` tokens."""
    import torch

    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in (prefix, suffix)]
    kept = shorten(ids[0], [], ids[1], _LINE_CONTEXT - MARKS)
    assert kept is not None
    prompt = arrange(kept[0], [], kept[1], FIM_TOKENS, spm=False)[:-1]
    with torch.no_grad():
        output = model.generate(
            torch.tensor([prompt], device=model.device),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=END_OF_TEXT,
            pad_token_id=END_OF_TEXT,
        )
    return str(tokenizer.decode(output[0, len(prompt) :].tolist(), skip_special_tokens=True))


def _plain(
    model: PreTrainedModel, tokenizer: Tokenizer, files: Sequence[SourceFile], length: int
) -> tuple[float, int]:
    """Nats and number of tokens over the unchanged modules."""
    import torch

    nats, count = 0.0, 0
    for file in files:
        # Each context begins after an end-of-text token, so its first token counts too.
        ids = [*tokenizer.encode(file.text, add_special_tokens=False).ids, END_OF_TEXT]
        for first in range(0, len(ids), length - 1):
            row = [END_OF_TEXT, *ids[first : first + length - 1]]
            with torch.no_grad():
                loss = token_loss(model, torch.tensor([row], device=model.device))
            nats += float(loss) * (len(row) - 1)
            count += len(row) - 1
    return nats, count


def _as_trained(
    model: PreTrainedModel, tokenizer: Tokenizer, files: Sequence[SourceFile], length: int
) -> float:
    import torch

    nats, count = 0.0, 0
    for row in pass_rows(files, tokenizer, length, BROAD, _SEED, 0):
        with torch.no_grad():
            loss = token_loss(model, torch.from_numpy(row)[None].to(model.device))
        tokens = int((row[1:] != EMPTY).sum())
        nats += float(loss) * tokens
        count += tokens
    return nats / count


def _lines_right(
    model: PreTrainedModel, tokenizer: Tokenizer, files: Sequence[SourceFile], lines: int
) -> int:
    rng = random.Random(_SEED)
    right = 0
    for _ in range(lines):
        file = rng.choices(files, weights=[file.size for file in files])[0]
        if (cut := cut_line(file.text, rng)) is not None:
            right += complete(model, tokenizer, cut.prefix, cut.suffix, _LONGEST_LINE) == cut.middle
    return right
