"""llama.cpp's C interface in this process, for what its server does not give: whole rows of logits.

xllamacpp's extension module exports that interface. Some broken files make llama.cpp end the process, so
:class:`starfreight.gguf.logits.Logits` runs this module in a process of its own; use that.

The parameters are structures whose length differs between versions. They are passed by value as the last
argument and returned through a hidden pointer, so that a longer structure is safe; only fields at its
beginning are changed, and their defaults are checked first. Source: ``include/llama.h``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, byref, c_float, c_int8, c_int32, c_void_p
from pathlib import Path

from starfreight.errors import InputError
from starfreight.gguf.keys import Scalar, read_scalars
from starfreight.gguf.llama_interface import Batch, LogCallback, load_library, unknown_version

BATCH = 512
"""Tokens of one batch, as in llama.cpp's own tools: the size changes the last bits of the logits."""

_CONTEXT_DEFAULTS = (512, 2048, 512, 1)
"""Of ``n_ctx``, ``n_batch``, ``n_ubatch`` and ``n_seq_max``."""

_ALL_LAYERS = (0xFFFFFFFF, 999)
"""Of ``n_gpu_layers``."""

_PADDING = 256
"""llama.cpp makes a context a multiple of this."""

_ERROR = 4
"""A message's level in the log."""

_ERRORS = 8
"""Messages that are kept."""


class LlamaLibrary:
    """A GGUF file loaded by llama.cpp in this process.

    Args:
        gguf: the file.
        adapter: a LoRA GGUF to add to it.
        context: the longest sequence in tokens.
        threads: number of threads.
        gpu: true to use the GPU if there is one.

    Attributes:
        vocabulary: number of tokens.
        begin: the token that begins a text; -1 without one.
        adds_begin: true if the tokenizer puts it before each text.

    Raises:
        UnusableLibraryError: llama.cpp is not installed, or of another version.
        InputError: it cannot load the file.
    """

    def __init__(self, gguf: Path, adapter: Path | None, context: int, threads: int, *, gpu: bool) -> None:
        self._gguf = gguf
        self._errors: list[str] = []
        self._log = LogCallback(self._note)
        self._c = load_library()
        self._c.llama_log_set(self._log, None)
        self._c.llama_backend_init()
        self._model = self._load(gpu)
        self._vocabulary = self._c.llama_model_get_vocab(self._model)
        self.vocabulary: int = self._c.llama_vocab_n_tokens(self._vocabulary)
        self.begin: int = self._c.llama_vocab_bos(self._vocabulary)
        self.adds_begin: bool = self._c.llama_vocab_get_add_bos(self._vocabulary)
        self._check_model(read_scalars(gguf))
        self._context = self._open_context(context)
        self._c.llama_set_n_threads(self._context, threads, threads)
        if adapter is not None:
            self._add(adapter)
        self._memory = self._c.llama_get_memory(self._context)
        self._arrays = _BatchArrays()

    def tokenize(self, text: str, *, begin: bool) -> list[int]:
        """The tokens of a text, in which special tokens are plain text.

        Args:
            text: the text.
            begin: true to add the beginning token, if the tokenizer does.
        """
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        tokens = (c_int32 * room)()
        count = self._c.llama_tokenize(self._vocabulary, data, len(data), tokens, room, begin, False)
        if count < 0:
            raise InputError("llama.cpp cannot tokenize the text.", where=str(self._gguf))
        return list(tokens[:count])

    def token_lengths(self) -> list[int]:
        """The number of bytes of each token's text; zero for control tokens."""
        buffer = ctypes.create_string_buffer(1 << 16)
        lengths = (
            self._c.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
            for token in range(self.vocabulary)
        )
        return [max(0, length) for length in lengths]

    def decode(self, tokens: Sequence[int], position: int, first: int, into: int) -> int:
        """Compute logits of the next tokens of a sequence.

        Args:
            tokens: at most :data:`BATCH`.
            position: of the first of them; 0 begins a new sequence.
            first: the first of ``tokens`` whose logits count.
            into: address for float32 of shape (len(tokens) - first, vocabulary).

        Returns:
            The number of rows.

        Raises:
            InputError: llama.cpp cannot compute them.
        """
        if position == 0:
            self._c.llama_memory_clear(self._memory, True)
        code = self._c.llama_decode(self._context, self._arrays.batch(tokens, position, first))
        rows = len(tokens) - first
        address = self._c.llama_get_logits(self._context) if rows and code == 0 else None
        if code != 0 or (rows and address is None):
            raise self._failed(f"llama.cpp cannot compute a batch of the model (code {code})")
        if address is not None:
            ctypes.memmove(into, address, rows * self.vocabulary * 4)
        return rows

    def _note(self, level: int, text: bytes | None, _: object) -> None:
        if level == _ERROR and text:
            self._errors.append(text.decode(errors="replace").strip())
            del self._errors[:-_ERRORS]

    def _load(self, gpu: bool) -> int:
        params = self._c.llama_model_default_params()
        # Devices and overrides, both NULL; then the number of layers on the GPU.
        if any(params.words[:4]) or params.words[4] not in _ALL_LAYERS:
            raise unknown_version("the parameters of a model begin otherwise")
        if not gpu:
            params.words[4] = 0
        model: int | None = self._c.llama_model_load_from_file(str(self._gguf).encode(), params)
        if not model:
            raise self._failed("llama.cpp cannot load the model file")
        return model

    def _check_model(self, keys: dict[str, Scalar]) -> None:
        if self._c.llama_model_has_encoder(self._model) or not self._c.llama_model_has_decoder(self._model):
            raise InputError(
                "The model does not predict the next token.",
                where=str(self._gguf),
                fix="use a causal language model",
            )
        kind = keys.get("general.architecture")
        expected = {
            "context_length": self._c.llama_model_n_ctx_train(self._model),
            "embedding_length": self._c.llama_model_n_embd(self._model),
        }
        for name, found in expected.items():
            key = keys.get(f"{kind}.{name}", found)
            if key != found:
                raise unknown_version(f"it finds {found:,} for {name}, the file holds {key}")

    def _open_context(self, context: int) -> int:
        params = self._c.llama_context_default_params()
        if tuple(params.words[:4]) != _CONTEXT_DEFAULTS:
            raise unknown_version("the parameters of a context begin otherwise")
        params.words[0] = context
        params.words[1] = params.words[2] = min(context, BATCH)
        opened: int | None = self._c.llama_init_from_model(self._model, params)
        if not opened:
            raise self._failed(f"llama.cpp cannot make a context of {context:,} tokens")
        made = self._c.llama_n_ctx(opened)
        if not context <= made < context + _PADDING:
            raise unknown_version(f"a context of {context:,} tokens has {made:,}")
        return opened

    def _add(self, adapter: Path) -> None:
        lora = self._c.llama_adapter_lora_init(self._model, str(adapter).encode())
        if not lora or self._c.llama_set_adapters_lora(
            self._context, byref(c_void_p(lora)), 1, byref(c_float(1.0))
        ):
            raise self._failed("llama.cpp cannot add the adapter to the model", f" and {adapter}")

    def _failed(self, problem: str, beside: str = "") -> InputError:
        # Without the name of the function; the last message often says no more than that it failed.
        messages = [message.partition(": ")[2] or message for message in self._errors[-2:]]
        reason = f": {messages[0][:300].rstrip('.')}" if messages else ""
        return InputError(
            f"{problem}{reason}.", where=f"{self._gguf}{beside}", fix="make or download it again"
        )


class _BatchArrays:
    """Memory of one batch, used again for each."""

    def __init__(self) -> None:
        self._tokens, self._positions = (c_int32 * BATCH)(), (c_int32 * BATCH)()
        self._counts, self._sequence = (c_int32 * BATCH)(*[1] * BATCH), (c_int32 * 1)(0)
        pointer = ctypes.cast(self._sequence, POINTER(c_int32))
        self._sequences = (POINTER(c_int32) * BATCH)(*[pointer] * BATCH)
        self._wanted = (c_int8 * BATCH)()

    def batch(self, tokens: Sequence[int], position: int, first: int) -> Batch:
        count = len(tokens)
        self._tokens[:count] = list(tokens)
        self._positions[:count] = list(range(position, position + count))
        self._wanted[:count] = [place >= first for place in range(count)]
        return Batch(count, self._tokens, None, self._positions, self._counts, self._sequences, self._wanted)
