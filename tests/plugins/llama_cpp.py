"""The next token's log-probabilities by llama.cpp, for models of 400 tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def log_probabilities(gguf: Path, prompts: Iterable[Sequence[int]], lora: Path | None = None) -> np.ndarray:
    """A row of log-probabilities after each prompt, with an adapter or without."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    if lora is not None:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(lora), 1.0
        params.lora_adapters = [adapter]
    params.n_ctx = 64
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.fit_params = params.ui = False
    params.verbosity = -1
    server: Any = xllamacpp.Server(params)
    rows = []
    for prompt in prompts:
        answer = server.handle_completions(
            # Token 0 is always sampled: a token that is half of a character has no text, and so no figures.
            {"prompt": list(prompt), "n_predict": 1, "temperature": 0.0, "n_probs": 400,
             "logit_bias": [[0, 10_000.0]]}
        )  # fmt: skip
        likely = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        found = {item["id"]: item["logprob"] for item in likely}
        rows.append([found[token] for token in range(400)])
    return np.array(rows)
