"""Generation of completions for an evaluation beside llama-server, on the same file, slots and threads.

    python benchmarks/evaluate_generation.py --llama-server llama.cpp/build/bin/llama-server
    python benchmarks/evaluate_generation.py --gguf model.gguf --slots 8 --threads 8 --llama-server ...

Both complete the same prompts with the same number of tokens, greedily and without a cache of prompts, with
as many requests at the same time as there are slots. llama-server computes its slots in one batch, so that a
completion depends on its neighbours. Ours do not: each slot is a process, and the last line counts
completions that differ from those of one slot. Rounds take turns, and the medians are compared. Without
``--gguf`` the starter model is quantized to Q4_K_M. Run it on an idle machine: threads of one process wait
for each other, so another program slows llama-server more than processes with a thread each. The processor's
time is shown, too; waiting threads use it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from starfreight.base_model import STARTER_FOLDER  # noqa: E402
from starfreight.console import Console  # noqa: E402
from starfreight.jobs.evaluate.models.gguf_model import GgufModel  # noqa: E402
from starfreight.jobs.evaluate.models.interface import Request  # noqa: E402
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles  # noqa: E402

CONTEXT = 1024
Texts = Mapping[str, str]


def starter(work: Path) -> Path:
    """The starter model as a file."""
    from starfreight.packager.press import ModelIdentity, PressRequest, press

    request = PressRequest(STARTER_FOLDER, None, ("Q4_K_M",), work, "starter", ModelIdentity("Starter"))
    return press(request, Console(quiet=True))[0].path


def prompts(count: int, tokens: int) -> list[Request]:
    """Pieces of this project's code, of different lengths."""
    code = "".join(path.read_text() for path in sorted((ROOT / "starfreight").glob("*.py")))
    return [
        Request(str(at), code[at * 700 :][: 300 + 97 * at % 700], most_tokens=tokens, endless=True)
        for at in range(count)
    ]


@contextlib.contextmanager
def llama_server(program: str, gguf: Path, slots: int, threads: int) -> Iterator[tuple[int, int]]:
    """Runs llama-server; yields its port and process."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port = trial.getsockname()[1]
    command = [
        program, "-m", str(gguf), "-np", str(slots), "-t", str(threads), "-c", str(CONTEXT * slots),
        "--port", str(port),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    connection.request("GET", "/health")
                    if connection.getresponse().status == 200:
                        break
                time.sleep(0.1)
            yield port, process.pid
        finally:
            process.kill()


def ask_server(port: int, slots: int, requests: Sequence[Request]) -> tuple[float, Texts]:
    """Tokens per second and texts of llama-server."""

    def one(request: Request) -> tuple[str, str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        body = {
            "prompt": request.prefix, "n_predict": request.most_tokens, "temperature": 0, "seed": 0,
            "ignore_eos": True, "cache_prompt": False,
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/completion", json.dumps(body).encode(), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return request.id, answer["content"], answer["tokens_predicted"]

    began = time.monotonic()
    with ThreadPoolExecutor(slots) as pool:
        done = list(pool.map(one, requests))
    rate = sum(tokens for _, _, tokens in done) / (time.monotonic() - began)
    return rate, {name: text for name, text, _ in done}


def ask_model(model: GgufModel, requests: Sequence[Request]) -> tuple[float, Texts]:
    """Tokens per second and texts of ours."""
    began = time.monotonic()
    done = list(model.complete(requests))
    rate = sum(completion.tokens for _, completion in done) / (time.monotonic() - began)
    return rate, {request.id: completion.text for request, completion in done}


def processor_seconds(processes: Sequence[int]) -> float:
    """Time of processes on all cores so far."""
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in processes]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def differing(some: Texts, others: Texts) -> int:
    """Number of completions that differ."""
    return sum(text != others[name] for name, text in some.items())


def main() -> None:
    """Prints the rates and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llama-server", required=True, metavar="PROGRAM")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    requests = prompts(options.requests, options.tokens)
    with tempfile.TemporaryDirectory() as work:
        gguf = (options.gguf or starter(Path(work))).absolute()
        target = LocalTarget(gguf, None, ModelFiles("benchmark", {"num_ctx": CONTEXT}))
        ours: list[tuple[float, Texts]] = []
        theirs: list[tuple[float, Texts]] = []
        our_time: list[float] = []
        their_time: list[float] = []
        # One after another: idle threads of a loaded model would disturb the other.
        for _ in range(options.rounds):
            with GgufModel(target, slots=options.slots, threads=options.threads) as model:
                ask_model(model, requests[: options.slots])
                processes = [each.process.pid for each in model._processes]
                before = processor_seconds(processes)
                ours.append(ask_model(model, requests))
                our_time.append(processor_seconds(processes) - before)
            with llama_server(options.llama_server, gguf, options.slots, options.threads) as (port, process):
                ask_server(port, options.slots, requests[: options.slots])
                before = processor_seconds([process])
                theirs.append(ask_server(port, options.slots, requests))
                their_time.append(processor_seconds([process]) - before)
        with GgufModel(target, slots=1, threads=1) as model:
            alone = ask_model(model, requests)[1]
        with llama_server(options.llama_server, gguf, 1, 1) as (port, _):
            single = ask_server(port, 1, requests)[1]
    first, second = (statistics.median(rate for rate, _ in each) for each in (ours, theirs))
    print(
        f"{gguf.name}, {options.slots} slots, {options.threads} threads, medians of {options.rounds} rounds"
    )
    print(f"ours:         {first:8.1f} tokens/s  ({', '.join(f'{rate:.1f}' for rate, _ in ours)})")
    print(f"llama-server: {second:8.1f} tokens/s  ({', '.join(f'{rate:.1f}' for rate, _ in theirs)})")
    print(f"ratio:        {first / second:8.2f}")
    used, spent = statistics.median(our_time), statistics.median(their_time)
    print(f"processor:    ours {used:.1f} s, llama-server {spent:.1f} s, ratio {spent / used:.2f}")
    print(f"of {len(requests)} completions, those that neighbours change:")
    print(f"ours {differing(ours[0][1], alone)}, llama-server {differing(theirs[0][1], single)}")


if __name__ == "__main__":
    main()
