r"""Run a GGUF file in this process with llama.cpp, to check that it works.

with LocalModel(path, context=1024) as model:
    model.complete("def area(radius):\n    return ", max_tokens=16).text
    model.fill("def area(radius):\n", "\n\nprint(area(2))\n", max_tokens=32).text
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from starfreight.errors import InputError
from starfreight.gguf.keys import read_scalars

_FIM_KEYS = tuple(f"tokenizer.ggml.fim_{name}_token_id" for name in ("pre", "suf", "mid"))
_CERTAIN = 10_000.0
"""A bias on a token's logit that makes the token certain."""


@dataclass(frozen=True)
class Completion:
    """A completion by a model.

    Attributes:
        text: as text; bytes that are not UTF-8 are replaced.
        tokens: as token ids, including a special token at its end. Tokens of a UTF-8 character that the text
            does not complete are left out.
        stop: ``stop`` if the model or a stop word ended it, ``length`` if ``max_tokens`` did.
    """

    text: str
    tokens: tuple[int, ...]
    stop: Literal["stop", "length"]


class LocalModel:
    """A GGUF file loaded once for many completions on the CPU. llama.cpp's log is silenced.

    xllamacpp's server always opens a port on the loopback interface; a random, undisclosed key closes it to
    other processes.

    Args:
        gguf: the file.
        adapter: a LoRA GGUF to add to it.
        context: the longest sequence in tokens; ``None`` for the model's own, at most 4096.
        threads: number of threads; ``None`` for one per core, at most 8.

    Raises:
        InputError: llama.cpp is not installed, or cannot load the file.
    """

    def __init__(
        self,
        gguf: Path,
        *,
        adapter: Path | None = None,
        context: int | None = None,
        threads: int | None = None,
    ) -> None:
        import os

        xllamacpp = llama_cpp()
        self._gguf = gguf
        self._keys = read_scalars(gguf)
        longest = self._keys.get(f"{self._keys.get('general.architecture')}.context_length", 4096)
        self.context = context or min(int(longest), 4096)
        self._end_of_text = int(self._keys.get("tokenizer.ggml.eos_token_id", 0))
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        if adapter is not None:
            lora = xllamacpp.CommonAdapterLoraInfo()
            lora.path, lora.scale = str(adapter), 1.0
            params.lora_adapters = [lora]
        params.n_parallel = 1
        params.n_ctx = params.n_batch = params.n_ubatch = self.context
        params.cache_ram_mib = 0  # Of earlier prompts, which no caller repeats.
        params.n_gpu_layers = 0
        count = threads or min(os.cpu_count() or 1, 8)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = count
        params.warmup = params.fit_params = params.ui = False
        params.verbosity = -1
        params.api_keys = [secrets.token_hex(32)]
        try:
            self._server: Any = xllamacpp.Server(params)
        except RuntimeError as error:
            raise InputError(
                "llama.cpp cannot load the model file" + (" with the adapter." if adapter else "."),
                where=str(gguf) + (f" and {adapter}" if adapter else ""),
                fix="make or download it again",
            ) from error

    def complete(
        self,
        prompt: str | Sequence[int | str],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> Completion:
        """Continue a prompt: a text, token ids, or both mixed. A temperature of 0 is greedy.

        Raises:
            InputError: the prompt does not fit the context.
        """
        answer = self._ask(
            {
                "prompt": prompt if isinstance(prompt, str) else list(prompt),
                "n_predict": max_tokens,
                "temperature": temperature,
                "seed": seed,
                "stop": list(stop),
                "n_probs": 1,
                "cache_prompt": False,
            }
        )
        content = (answer.get("logprobs") or {}).get("content") or []
        reason: Literal["stop", "length"] = "stop" if answer["finish_reason"] == "stop" else "length"
        return Completion(answer["text"], tuple(item["id"] for item in content), reason)

    def fill(
        self,
        prefix: str,
        suffix: str,
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> Completion:
        """Fill in the text between two others (prefix, suffix, middle, by the ids in the file).

        Raises:
            InputError: the model has no fill-in-the-middle tokens, or the texts do not fit the context.
        """
        ids = [self._keys.get(key) for key in _FIM_KEYS]
        if not all(isinstance(number, int) for number in ids):
            raise InputError(
                "The model has no fill-in-the-middle tokens.",
                where=str(self._gguf),
                fix="give it a prompt, or use a StarCoder model",
            )
        before, between, after = (int(number) for number in ids if number is not None)
        parts: tuple[int | str, ...] = (before, prefix, between, suffix, after)
        prompt = [part for part in parts if part != ""]
        return self.complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed, stop=stop)

    def next_tokens(self, tokens: Sequence[int], count: int) -> dict[int, float]:
        """The ``count`` most likely next tokens after a sequence, with their log-probabilities in nats.

        Args:
            tokens: the sequence.
            count: number of tokens.

        Raises:
            InputError: the sequence does not fit the context.
        """
        # The server reports probabilities from the model's logits, before any bias. The bias forces a token
        # of complete text: after part of a UTF-8 character the server reports none.
        choice = self._ask(
            {
                "prompt": list(tokens),
                "n_predict": 1,
                "temperature": 0.0,
                "n_probs": count,
                "logit_bias": [[self._end_of_text, _CERTAIN]],
                "cache_prompt": True,
            }
        )
        return {
            item["id"]: float(item["logprob"]) for item in choice["logprobs"]["content"][0]["top_logprobs"]
        }

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._server.handle_completions(request)
        if "error" in answer:
            raise InputError(
                f"The model cannot complete this: {str(answer['error'].get('message'))[:300]}.",
                where=str(self._gguf),
                fix="shorten the prompt or raise the context",
            )
        choice: dict[str, Any] = answer["choices"][0]
        return choice

    def close(self) -> None:
        """Unload the model and end its threads."""
        self._server = None

    def __enter__(self) -> LocalModel:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unload the model."""
        self.close()


def llama_cpp() -> Any:
    """The library, or an :class:`InputError` that names its extra or the library that it misses."""
    from starfreight.gguf.openmp import load_openmp, loading_fix

    load_openmp()
    try:
        import xllamacpp
    except ModuleNotFoundError as error:
        raise InputError(
            "Running a GGUF file needs llama.cpp, which is not installed here.",
            where=str(error.name),
            fix="pip install 'starfreight[llama]'",
        ) from None
    except ImportError as error:
        raise InputError(
            f"llama.cpp cannot be loaded: {error}.", where="xllamacpp", fix=loading_fix(error)
        ) from error
    return xllamacpp


def complete(
    gguf: Path,
    *,
    prompt: str | None = None,
    prefix: str | None = None,
    suffix: str | None = None,
    max_tokens: int = 64,
    temperature: float = 0.0,
    seed: int = 0,
    threads: int | None = None,
) -> Completion:
    """One completion: of a prompt, or between a prefix and a suffix.

    Raises:
        InputError: the file cannot be loaded or the request does not fit it.
    """
    with contextlib.closing(LocalModel(gguf, threads=threads)) as model:
        if prompt is not None:
            return model.complete(prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)
        return model.fill(
            prefix or "", suffix or "", max_tokens=max_tokens, temperature=temperature, seed=seed
        )
