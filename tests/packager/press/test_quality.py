"""What quantisation costs: how far each kind of file of a trained model is from transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.gguf.local_model import LocalModel
from starfreight.packager.press import PressRequest, Quantization, press

PROMPT = (
    "<repo_name>acme<file_sep>shapes.py\nimport math\n\n<file_sep><fim_prefix>area.py\ndef area(radius):\n"
    "    return <fim_suffix>\n\nprint(area(2))\n<fim_middle>math.pi * radius ** 2"
)
MOST = {
    "F32": 2e-5, "F16": 2e-5, "BF16": 1e-4, "Q8_0": 2e-3, "Q6_K": 8e-3, "Q5_K_M": 0.015, "Q5_K_S": 0.02,
    "Q5_0": 0.03, "Q4_K_M": 0.06, "Q4_K_S": 0.06, "Q4_0": 0.12, "IQ4_NL": 0.08, "IQ4_XS": 0.08,
    "Q3_K_M": 0.2, "Q3_K_S": 0.4, "Q2_K": 0.6,
}  # fmt: skip
"""Nats of divergence that each kind may have: about twice what it had when this was written."""


@pytest.fixture(scope="module")
def divergence(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, float]:
    """The mean Kullback-Leibler divergence of each kind of file of the starter from transformers, in nats."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    tokens = Tokenizer.from_file(str(STARTER_FOLDER / "tokenizer.json")).encode(PROMPT).ids
    model = AutoModelForCausalLM.from_pretrained(STARTER_FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0].log_softmax(-1).double().numpy()
    positions = range(2, len(tokens), 3)
    out: Path = tmp_path_factory.mktemp("starter")
    found = {}
    for file in press(PressRequest(STARTER_FOLDER, None, tuple(Quantization), out, "m"), Console(quiet=True)):
        sums = 0.0
        with LocalModel(file.path, threads=1) as llama:
            for position in positions:
                row = llama.next_tokens(tokens[: position + 1], expected.shape[1])
                theirs = expected[position]
                ours = np.array([row[token] for token in range(len(theirs))])
                sums += float((np.exp(theirs) * (theirs - ours)).sum())
        found[str(file.quantization)] = sums / len(positions)
    return found


@pytest.mark.parametrize("kind", list(Quantization))
def test_a_file_completes_almost_as_its_model_does(divergence: Mapping[str, float], kind: str) -> None:
    assert -1e-5 < divergence[kind] < MOST[kind]


def test_more_bits_are_better(divergence: Mapping[str, float]) -> None:
    kinds = ("F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
    found = [divergence[kind] for kind in kinds]
    assert found == sorted(found)
