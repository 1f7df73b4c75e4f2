"""llama.cpp's C interface, as xllamacpp's extension module exports it: structures and functions.

Source: ``include/llama.h``.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.gguf.openmp import load_openmp, loading_fix

_LongStructure = c_uint32 * 256
"""1 KiB. The real ones take about 200 bytes."""


class UnusableLibraryError(InputError):
    """llama.cpp is not installed, or of another version; no file is to blame."""


class Parameters(ctypes.Structure):
    """Parameters of a model or a context, whose length differs between versions."""

    _fields_ = (("words", _LongStructure), ("pointer", c_void_p))  # The pointer aligns it.


class Batch(ctypes.Structure):
    """``llama_batch``."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    )


LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)
"""Called with the level and the text of each message of the log."""

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [LogCallback, c_void_p]),
    "llama_model_default_params": (Parameters, []),
    "llama_context_default_params": (Parameters, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, Parameters]),
    "llama_init_from_model": (c_void_p, [c_void_p, Parameters]),
    "llama_model_has_encoder": (c_bool, [c_void_p]),
    "llama_model_has_decoder": (c_bool, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_model_n_embd": (c_int32, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_adapter_lora_init": (c_void_p, [c_void_p, c_char_p]),
    "llama_set_adapters_lora": (c_int32, [c_void_p, POINTER(c_void_p), c_size_t, POINTER(c_float)]),
    "llama_n_ctx": (c_uint32, [c_void_p]),
    "llama_set_n_threads": (None, [c_void_p, c_int32, c_int32]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits": (c_void_p, [c_void_p]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_bos": (c_int32, [c_void_p]),
    "llama_vocab_get_add_bos": (c_bool, [c_void_p]),
    "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
    "llama_token_to_piece": (c_int32, [c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool]),
}


def load_library() -> Any:
    """The C interface of xllamacpp's extension module.

    Raises:
        UnusableLibraryError: it is not installed, cannot be loaded, or is of another version.
    """
    found = importlib.util.find_spec("xllamacpp")
    folders = found.submodule_search_locations if found is not None else None
    if not folders:
        raise UnusableLibraryError(
            "Running a GGUF file needs llama.cpp, which is not installed here.",
            where="xllamacpp",
            fix="pip install 'starfreight[llama]'",
        )
    load_openmp()
    files = [file for folder in folders for end in ("so", "pyd") for file in Path(folder).glob(f"*.{end}")]
    for file in files:
        try:
            library = ctypes.CDLL(str(file))
        except OSError as error:
            raise UnusableLibraryError(
                f"llama.cpp cannot be loaded: {error}.", where=str(file), fix=loading_fix(error)
            ) from error
        if hasattr(library, "llama_decode"):
            break
    else:
        raise unknown_version("its module has no C interface")
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            raise unknown_version(f"it has no {name}")
        function.restype, function.argtypes = result, arguments
    return library


def unknown_version(reason: str) -> UnusableLibraryError:
    """The error for a version whose interface is another one."""
    version = importlib.metadata.version("xllamacpp")
    return UnusableLibraryError(
        f"This version of llama.cpp has another C interface: {reason}.",
        where=f"xllamacpp {version}",
        fix="install another version of xllamacpp, or a newer starfreight",
    )
