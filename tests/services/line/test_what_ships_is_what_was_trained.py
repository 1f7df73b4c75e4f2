"""From a recipe to a package: its files have the losses and the prompts of training.

Both are computed here anew: the losses by transformers and peft on the base and the adapter, the tokens from
the documented layout of ``data/blocks.bin``.
"""

from __future__ import annotations

import itertools
import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from starfreight.console import Console
from starfreight.gguf.token_losses import MeasureRequest, measure_tokens
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.training_job import run_job
from starfreight.ollama_template.template import Message, OllamaTemplate
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.recipe import load_recipe

pytest.importorskip("torch")
xllamacpp = pytest.importorskip("xllamacpp")

TRAINING = {
    "rank": 8, "dropout": 0, "sequence_length": 256, "batch_size": 4, "gradient_accumulation": 1, "steps": 12,
    "learning_rate": 2e-2, "evaluate_every": 12, "evaluation_blocks": 2, "evaluation_completions": 0,
}  # fmt: skip

CLOSE = {"F32": 0.01, "Q8_0": 0.05}
"""Bounds of the difference of the mean losses, in nats per token."""


@dataclass(frozen=True)
class Document:
    """An example in the blocks: its token ids, and for each whether the loss counts it."""

    ids: list[int]
    counted: list[bool]

    @property
    def prompt(self) -> list[int]:
        """The ids before the last stretch of counted tokens."""
        end = len(self.ids)
        while not self.counted[end - 1]:
            end -= 1
        while self.counted[end - 1]:
            end -= 1
        return self.ids[:end]


@dataclass(frozen=True)
class Line:
    """A trained and packaged model."""

    base: Path
    run: Path
    package: Path
    chats: Sequence[Sequence[Message]]

    def documents(self, part: str) -> Iterator[Document]:
        """The examples of a part of ``data/blocks.bin``, by docs/files.md."""
        record = json.loads((self.run / "data/blocks.json").read_text())
        length, width = record["length"], record["id_bytes"]
        data = (self.run / "data/blocks.bin").read_bytes()
        first = {"train": 0, "held_out": record["train"]}[part]
        for block in range(first, first + record[part]):
            row = data[block * length * (width + 1) :][: length * (width + 1)]
            ids = np.frombuffer(row, f"<u{width}", length).tolist()
            flags = np.frombuffer(row, "u1", length, length * width)
            starts = [*np.flatnonzero(flags & 2).tolist(), length]
            for start, end in itertools.pairwise(starts):
                counted = (flags[start:end] & 1).astype(bool).tolist()
                if any(counted):
                    yield Document(ids[start:end], counted)

    def blob(self, digest: str) -> Path:
        """A file of the package."""
        return self.package / "blobs/sha256" / digest.removeprefix("sha256:")

    def gguf(self, quantization: str) -> Path:
        """A GGUF file of the package."""
        variants = Package.load(self.package).variants
        (digest,) = (each.gguf.digest for each in variants if each.quantization == quantization)
        return self.blob(digest)

    def ollama_template(self) -> OllamaTemplate:
        """The TEMPLATE in a manifest for Ollama."""
        for manifest in json.loads((self.package / "index.json").read_text())["manifests"]:
            for layer in json.loads(self.blob(manifest["digest"]).read_text()).get("layers", []):
                if layer["mediaType"] == "application/vnd.ollama.image.template":
                    return OllamaTemplate(self.blob(layer["digest"]).read_text())
        raise AssertionError("no template")


def _chats() -> list[list[Message]]:
    return [
        [
            ("system", f"Use {number % 3} spaces."),
            ("user", f"Write a function that adds {number}."),
            ("assistant", f"def add_{number}(x):\n    return x + {number}"),
            ("user", f"Now subtract {number * 7 % 11}."),
            ("assistant", f"def sub_{number}(x):\n    return x - {number * 7 % 11}"),
        ]
        for number in range(24)
    ]


def _code(folder: Path) -> None:
    (folder / "code").mkdir()
    for number in range(16):
        lines = [f"def step_{number}_{n}(value):\n    return value + {number * n}\n" for n in range(6)]
        (folder / "code" / f"part_{number}.py").write_text("\n\n".join(lines))


@pytest.fixture(
    scope="module",
    params=[(a, f) for a in ("starcoder2", "starcoder") for f in ("fim", "instruct")],
    ids="-".join,
)
def line(
    request: pytest.FixtureRequest,
    make_checkpoint: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Line:
    """A model of each architecture trained on each format, packaged without the check of its loss."""
    architecture, form = request.param
    root = tmp_path_factory.mktemp("line")
    base = make_checkpoint(root / "base", architecture, hidden=64, ffn=128, dtype="F32", tied=form == "fim")
    (root / "LICENSE").write_text("The license.\n")
    chats = _chats() if form == "instruct" else []
    rows = [{"messages": [{"role": role, "content": text} for role, text in chat]} for chat in chats]
    (root / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _code(root)
    source: dict[str, Any] = {"source": "./code", "fim": {"rate": 1.0, "spm_rate": 0, "node_rate": 0}}
    source = source if form == "fim" else {"source": "./chats.jsonl"}
    source |= {"format": form, "license": "MIT", "held_out": 0.25, "filters": {"near_duplicates": False}}
    method = "lora" if form == "fim" else "qlora"
    recipe = {
        "version": 1,
        "name": "whole-line",
        "base": {"model": "./base", "license": "MIT"},
        "data": [source],
        "training": TRAINING | {"method": method},
        "package": {"quantizations": list(CLOSE), "license_files": ["LICENSE"]},
        "run": {"threads": 1, "allow_little_data": True},
    }
    (root / "recipe.yaml").write_text(json.dumps(recipe))
    file = load_recipe(root / "recipe.yaml")
    quiet = Console(quiet=True)
    (run,) = prepare_runs([file.recipe], file.folder, root / "runs", quiet)
    run_job(run, StopRequest())
    build_package(run, root / "package", None, quiet, skip_loss_check=True)
    return Line(base, run, root / "package", chats)


def _losses_in_transformers(line: Line, documents: Sequence[Document]) -> tuple[list[float], list[float]]:
    """The losses of counted tokens in nats, by the base with the adapter and by the base alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    base = AutoModelForCausalLM.from_pretrained(line.base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, line.run / "adapter").eval()

    def losses() -> list[float]:
        found = []
        with torch.no_grad():
            for document in documents:
                logprobs = model(torch.tensor([document.ids])).logits[0].double().log_softmax(-1)
                found += [-float(logprobs[place - 1, token]) for place, token in _counted(document)]
        return found

    with model.disable_adapter():
        alone = losses()
    return losses(), alone


def _counted(document: Document) -> list[tuple[int, int]]:
    return [(n, token) for n, token in enumerate(document.ids) if document.counted[n] and n]


def test_the_files_have_the_loss_of_the_base_with_the_adapter(line: Line) -> None:
    documents = list(line.documents("held_out"))[:4]
    expected, alone = _losses_in_transformers(line, documents)
    assert len(expected) > 50
    for quantization, bound in CLOSE.items():
        asked = [(document.ids, [place for place, _ in _counted(document)]) for document in documents]
        request = MeasureRequest(line.gguf(quantization), None, asked, threads=1)
        found = [loss for each in measure_tokens(request, lambda count: None) for loss in each]
        assert abs(np.mean(found) - np.mean(expected)) < bound
        assert np.abs(np.subtract(found, expected)).max() < 10 * bound
        # Without the adapter it is another model.
        assert np.mean(alone) - np.mean(found) > 0.3


@contextmanager
def _server(gguf: Path) -> Iterator[Callable[[str, Mapping[str, Any]], Any]]:
    """llama.cpp's own tokenizer and templates."""
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity = 256, 1, 0, -1
    params.warmup = params.fit_params = params.ui = False
    key = secrets.token_hex(16)
    params.api_keys = [key]
    running = xllamacpp.Server(params)

    def post(path: str, body: Mapping[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(running.listening_address + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    yield post


def test_a_prompt_has_the_ids_of_the_blocks(line: Line) -> None:
    template = line.ollama_template()
    tokenizer = Tokenizer.from_file(str(line.base / "tokenizer.json"))
    trained = list(line.documents("train"))
    with _server(line.gguf("Q8_0")) as post:

        def ids(prompt: str) -> Any:
            return post("/tokenize", {"content": prompt, "add_special": False, "parse_special": True})[
                "tokens"
            ]

        if line.chats:
            asked = [chat[:-1] for chat in line.chats]
            prompts = [ids(template.chat(chat)) for chat in asked]
            bodies = [{"messages": [{"role": r, "content": text} for r, text in chat]} for chat in asked]
            rendered = [ids(post("/apply-template", body)["prompt"]) for body in bodies]
            assert rendered == prompts
            # A quarter is held out, and passes repeat the others.
            every = {tuple(document.prompt) for document in trained}
            assert len(every) == 18 and every < {tuple(prompt) for prompt in prompts}
            return
        prefix, suffix, middle = tokenizer.encode("<fim_prefix><fim_suffix><fim_middle>").ids
        seen = 0
        for document in trained:
            if document.ids[0] != prefix:
                continue  # A remainder too short to split.
            prompt = document.ids[: document.ids.index(middle) + 1]
            between = prompt.index(suffix)
            before, after = (tokenizer.decode(part) for part in (prompt[1:between], prompt[between + 1 : -1]))
            if before and after:  # Otherwise Ollama fills nothing in.
                assert ids(template.insert(before, after)) == prompt
                seen += 1
        assert seen >= 10
