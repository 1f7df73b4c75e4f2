"""llama.cpp's server in a process of its own.

It can be ended at any moment, while one in this process waits for its clients when it is unloaded. A crash
of llama.cpp is an error instead of the end of the command.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, ServiceError
from starfreight.gguf.local_model import llama_cpp


@dataclass(frozen=True)
class LlamaProcess:
    """A running server.

    Attributes:
        address: such as ``http://127.0.0.1:8012``.
        process: its process.
    """

    address: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the server ends, which it does not by itself.

        Raises:
            ServiceError: it has ended.
        """
        code = self.process.wait()
        raise ServiceError(
            f"llama.cpp's server ended by itself, with code {code}.",
            where=self.address,
            fix="run the same command again, with a smaller model if memory is short",
        )


@contextlib.contextmanager
def llama_process(settings: Mapping[str, Any], gguf: Path) -> Iterator[LlamaProcess]:
    """Run a server until the context ends.

    Args:
        settings: as :func:`starfreight.completion.server_process.make_params` reads them.
        gguf: the model's file, for errors.

    Raises:
        InputError: llama.cpp is not installed or cannot load the file.
    """
    llama_cpp()
    command = [sys.executable, "-m", "starfreight.completion.server_process"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # llama.cpp's chatter.
        process_group=0,  # Ctrl-C is for this process.
    ) as process:
        try:
            yield LlamaProcess(_address(process, settings, gguf), process)
        finally:
            process.kill()


def _address(process: subprocess.Popen[bytes], settings: Mapping[str, Any], gguf: Path) -> str:
    assert process.stdin is not None and process.stdout is not None
    try:
        # On standard input, because they may hold a key. It stays open: the process ends with it.
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        return str(json.loads(process.stdout.readline())["address"])
    except (BrokenPipeError, ValueError, LookupError) as error:
        beside = " with the adapter" if settings.get("adapter") else ""
        raise InputError(
            f"llama.cpp cannot load the model file{beside}.",
            where=str(gguf),
            fix="make or download it again",
        ) from error
