"""A GGUF file, run by llama.cpp with everything that is packaged beside it.

    with GgufModel(LocalTarget(gguf, None, ModelFiles.load(job / "model"))) as model:
        for request, completion in model.complete(requests):
            ...

Each slot is a llama.cpp process of its own. Slots of one process share batches, and llama.cpp's kernels for
1, 2 and 4 columns round differently: a neighbour would change tokens of a completion. With flash attention,
the number of threads does the same; a cache of prompts would change the batches, too. With one slot,
without flash attention and without a cache, a completion at temperature 0 is the same, bit for bit, for any
order, number of slots and threads (of one processor model; others have other kernels).
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from starfreight.completion.llama_process import LlamaProcess, llama_process
from starfreight.completion.model_context import source_context
from starfreight.completion.model_prompts import SAMPLING
from starfreight.errors import InputError
from starfreight.gguf.keys import read_scalars
from starfreight.gguf.local_model import llama_cpp
from starfreight.gguf.loopback import Loopback
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.llama_worker import LlamaWorker
from starfreight.jobs.evaluate.models.model_files import LocalTarget
from starfreight.jobs.evaluate.models.process_memory import peak_memory
from starfreight.jobs.evaluate.models.workers import share_out
from starfreight.machine_limits import available_memory, usable_processors

_BATCH = 512
_MOST_SLOTS = 16
_WORKERS = 2
"""Workers of a slot: the next request waits when the slot is free."""

_PART_OF_MEMORY = 0.7
_PROCESS = 150 << 20
"""Bytes of a process beside its model."""


class GgufModel:
    """A running model.

    Args:
        target: the model.
        slots: completions at the same time; ``None`` for one per processor, as far as memory allows, and for
            one on a GPU, where each slot would need a copy of the weights.
        threads: number of threads of all slots together; ``None`` for one per processor.

    Raises:
        InputError: llama.cpp is not installed, or cannot load the file or the adapter.
        RecipeError: Ollama would refuse the template.
    """

    def __init__(self, target: LocalTarget, *, slots: int | None = None, threads: int | None = None) -> None:
        self._source = target.source
        self._context = source_context(self._source)
        self._keys = read_scalars(self._source.gguf)
        self._threads = threads or usable_processors()
        self._slots = slots or (1 if _finds_gpu(llama_cpp()) else self._fitting_slots())
        self._open = contextlib.ExitStack()
        self._processes: list[LlamaProcess] = []
        self._lock = threading.Lock()
        try:
            self._workers = self._start()
        except BaseException:
            self._open.close()
            raise

    def _fitting_slots(self) -> int:
        """One slot per thread, or fewer: each process may need a copy of the weights."""
        memory = available_memory()
        if memory is None:
            return 1
        size = self._source.gguf.stat().st_size + _PROCESS + self._cache_size()
        return max(1, min(self._threads, _MOST_SLOTS, int(memory * _PART_OF_MEMORY) // size))

    def _cache_size(self) -> int:
        """Bytes of the keys and values of a context, in 16 bits."""
        keys = self._keys
        kind = keys.get("general.architecture")

        def number(name: str, default: int) -> int:
            value = keys.get(f"{kind}.{name}", default)
            return value if type(value) is int and 0 < value < 1 << 24 else default

        heads = number("attention.head_count", 1)
        width = number("embedding_length", 4096) * number("attention.head_count_kv", heads) // heads
        return 4 * width * number("block_count", 32) * self._context

    def _start(self) -> list[LlamaWorker]:
        with ThreadPoolExecutor(self._slots) as pool:
            servers = list(pool.map(lambda _: self._start_process(), range(self._slots)))
        return [
            LlamaWorker(each, self._source, self._context, self._keys)
            for _ in range(_WORKERS)
            for each in servers
        ]

    def _start_process(self) -> Loopback:
        key = secrets.token_hex(32)  # Closes the port to other programs.
        settings: dict[str, Any] = {
            "model": str(self._source.gguf.absolute()),
            "alias": self._source.name,
            "adapter": str(self._source.adapter.absolute()) if self._source.adapter is not None else None,
            "threads": max(1, self._threads // self._slots),
            "sampling": {},
            "api_keys": [key],
            "n_ctx": self._context,
            "n_parallel": 1,
            "n_batch": _BATCH,
            "n_ubatch": _BATCH,
            "kv_unified": False,
            "cache_ram_mib": 0,
            "flash_attn_type": 0,
            "endpoint_slots": False,
        }
        # The context manager is entered here, and left when the model is closed.
        running = llama_process(settings, self._source.gguf)
        process = running.__enter__()
        with self._lock:
            self._open.push(running)
            self._processes.append(process)
        return Loopback(process.address, key)

    @property
    def fills(self) -> bool:
        """True if the template inserts, or the file has fill-in-the-middle tokens."""
        return self._workers[0].prompts.fill_form is not None

    @property
    def instructs(self) -> bool:
        """True if the packaged template makes a conversation of an instruction."""
        return self._workers[0].prompts.instructs

    @property
    def repositories(self) -> bool:
        """True if the model has tokens for the files of a repository."""
        try:
            marks = self._workers[0].prompts.marks()
        except InputError:
            return False
        return marks.repository is not None and marks.file is not None

    @property
    def context(self) -> int:
        """Tokens of a prompt and its completion."""
        return self._context

    @property
    def slots(self) -> int:
        """Completions at the same time."""
        return self._slots

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        settings = self._source.settings
        return {
            "runner": "llama.cpp",
            "context": self._context,
            "slots": self._slots,
            "threads": self._threads,
            "flash_attention": "off",
            "fill_form": self._workers[0].prompts.fill_form,
            "sampling": {name: settings[name] for name in ("temperature", *SAMPLING) if name in settings},
            "stop": list(self._source.stops),
        }

    @property
    def memory(self) -> int | None:
        """Largest resident memory of the processes so far, in bytes; pages of the mapped file count."""
        return peak_memory([each.process.pid for each in self._processes])

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """Completes prompts, in the order in which they end; see :class:`Model`.

        Raises:
            InputError: the model cannot do this.
            ServiceError: llama.cpp has failed.
        """
        return share_out(requests, self._workers)

    def close(self) -> None:
        """Ends the processes."""
        self._open.close()

    def __enter__(self) -> Self:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes."""
        self.close()


def _finds_gpu(xllamacpp: Any) -> bool:
    """True if llama.cpp would run layers on a GPU."""
    return any(str(each["type"].name).endswith("GPU") for each in xllamacpp.get_device_info())
