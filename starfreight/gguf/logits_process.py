"""The process that runs llama.cpp for :mod:`starfreight.gguf.logits`.

It reads JSON lines from standard input and answers each with one: first the settings, then requests. It ends
with its standard input. Logits go into memory shared with the parent.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from starfreight.errors import StarfreightError
from starfreight.gguf.llama_interface import UnusableLibraryError
from starfreight.gguf.llama_library import BATCH, LlamaLibrary


def main() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever llama.cpp prints is no answer.
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    try:
        _serve(requests, answers)
    except StarfreightError as error:
        unusable = isinstance(error, UnusableLibraryError)
        _send(answers, {"error": error.what, "where": error.where, "fix": error.fix, "unusable": unusable})
    os._exit(1)  # llama.cpp's threads have nothing to tidy.


def _read(requests: queue.SimpleQueue[bytes]) -> None:
    """In a thread of its own, so that the end of the parent ends a computation."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _serve(requests: queue.SimpleQueue[bytes], answers: IO[str]) -> None:
    settings = json.loads(requests.get())
    adapter = settings["adapter"]
    context, threads = int(settings["context"]), int(settings["threads"])
    model = LlamaLibrary(
        Path(settings["gguf"]), Path(adapter) if adapter else None, context, threads, gpu=settings["gpu"]
    )
    size = min(context, BATCH) * model.vocabulary * 4
    os.ftruncate(settings["memory"], size)
    with mmap.mmap(settings["memory"], size) as memory:
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fields = {"vocabulary": model.vocabulary, "begin": model.begin, "adds_begin": model.adds_begin}
        _send(answers, fields)
        while True:
            _send(answers, _answer(model, json.loads(requests.get()), address))


def _answer(model: LlamaLibrary, request: Mapping[str, Any], address: int) -> dict[str, Any]:
    if "text" in request:
        return {"tokens": model.tokenize(request["text"], begin=request["begin"])}
    if "tokens" in request:
        return {"rows": model.decode(request["tokens"], request["position"], request["first"], address)}
    return {"lengths": model.token_lengths()}


def _send(answers: IO[str], message: Mapping[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
