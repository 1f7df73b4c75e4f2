"""The process that runs llama.cpp's server for :mod:`starfreight.completion.llama_process`.

It reads a line of JSON with the settings, prints one with the address or an error, and ends with its standard
input.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def make_params(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    """llama.cpp's parameters.

    Args:
        xllamacpp: the library.
        settings: values by the names of ``CommonParams``; ``model``, ``adapter``, ``alias``, ``threads`` and
            ``sampling`` (a mapping) by names of their own.
    """
    params = xllamacpp.CommonParams()
    params.model.path = settings.pop("model")
    params.model_alias = {settings.pop("alias")}
    adapter = settings.pop("adapter")
    if adapter is not None:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = adapter, 1.0
        params.lora_adapters = [lora]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.pop("threads")
    for name, value in settings.pop("sampling").items():
        setattr(params.sampling, name, value)
    for name, value in settings.items():
        setattr(params, name, value)
    params.warmup = params.fit_params = params.ui = False
    params.verbosity = -1
    return params


def main() -> None:
    """Serve until standard input ends."""
    from starfreight.gguf.openmp import load_openmp

    load_openmp()
    import xllamacpp

    params = make_params(xllamacpp, json.loads(sys.stdin.readline()))
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        print(json.dumps({"error": "load"}), flush=True)
        os._exit(1)
    print(json.dumps({"address": server.listening_address}), flush=True)
    while sys.stdin.read(1 << 10):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
