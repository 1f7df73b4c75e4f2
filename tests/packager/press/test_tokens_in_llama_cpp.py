"""llama.cpp splits every text into the tokens of training, for each tokenizer that is accepted."""

from __future__ import annotations

import json
import random
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.packager.press import ModelIdentity, PressRequest, Quantization, press

TEXTS = 250

PIECES = (
    "def", "return", " ", "  ", "    ", "\n", "\n\n", "\t", "\r\n", "\r", "x", "foo_bar", "camelCase", "123",
    "4", "0x1F", '"', "'s", "'ll", "#", "//", "->", "==", "{}", "()", "...", "<", ">", "|", "<|", "|>",
    "\u00e9", "\u4e2d\u6587", "\u65e5\u672c", "\U0001f642", "\U0001f469\u200d\U0001f467", "\u00a0", "\u2003",
    "\u200b", "\u0301", "\u00b2", "\u00bd", "\u2167", "\u0663", "\x00", "\x0b", "\x85", "\u2028",
    "\ufeff", "\U0001d7d8", "\u0939\u093f",
)  # fmt: skip
"""Code, white space, digits and letters of several scripts, and the ends of marks."""

EXTRA: dict[str, list[tuple[str, bool]]] = {
    "as it is": [],
    "marks of a chat": [("<|im_start|>", True), ("<|im_end|>", True)],
    "user-defined": [("foobar", False), ("qxj kv", False), ("\u65e5\u672c", False), ("abab", False)],
    "found in any text": [("<|start|>", False), ("<mark>", True), ("<user>", False)],
}
"""Added tokens, and their flag ``special``, that the check accepts."""


def tokenizer(architecture: str, extra: list[tuple[str, bool]]) -> dict[str, Any]:
    """The starter's tokenizer with the marks of an architecture and other added tokens."""
    data: dict[str, Any] = json.loads((STARTER_FOLDER / "tokenizer.json").read_text())
    if architecture == "starcoder":
        text = json.dumps(data).replace("<repo_name>", "<reponame>").replace("<file_sep>", "<filename>")
        data = json.loads(text)
    for number, (content, special) in enumerate(extra, len(data["model"]["vocab"])):
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special}
        data["added_tokens"].append({"id": number, "content": content, "special": special} | flags)
    return data


@contextmanager
def llama_cpp(gguf: Path) -> Iterator[Callable[[str, bool], list[int]]]:
    """llama.cpp's tokenizer: of a text, with or without control tokens."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(gguf), 64, 1, 0
    params.warmup, params.verbosity = False, -1
    key = secrets.token_hex(16)
    params.api_keys = [key]
    server = xllamacpp.Server(params)  # Runs until this function ends.
    address = server.listening_address + "/tokenize"

    def ids(text: str, with_marks: bool) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": with_marks}
        request = urllib.request.Request(
            address,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: list[int] = json.load(answer)["tokens"]
        return found

    yield ids


def random_text(rng: random.Random, marks: list[str]) -> str:
    """Pieces of code, whole and broken marks, and any characters of the planes that have some."""
    parts = []
    for _ in range(rng.randint(1, 20)):
        kind = rng.random()
        if kind < 0.15:
            parts.append(rng.choice(marks))
        elif kind < 0.25:
            mark = rng.choice(marks)
            cut = rng.randint(0, len(mark))
            parts.append(rng.choice([mark[:cut], mark[cut:]]))
        elif kind < 0.95:
            parts.append(rng.choice(PIECES))
        else:
            # Below the letters that Unicode added after the versions of both libraries.
            parts.append(chr(rng.randint(1, 0x2FFF)))
    return "".join(parts)


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("extra", EXTRA)
def test_random_texts_have_the_same_tokens_in_training_and_in_llama_cpp(
    architecture: str, extra: str, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    from tokenizers import Tokenizer

    data = tokenizer(architecture, EXTRA[extra])
    marks = [each["content"] for each in data["added_tokens"]]
    vocabulary = len(data["model"]["vocab"]) + len(EXTRA[extra])
    base = make_checkpoint(
        tmp_path / "base", architecture, hidden=32, ffn=64, layers=1, context=64, vocab_size=vocabulary
    )
    (base / "tokenizer.json").write_text(json.dumps(data))
    request = PressRequest(
        base=base, adapter=None, quantizations=(Quantization.F16,), out=tmp_path / "out", name="x",
        identity=ModelIdentity("x"),
    )  # fmt: skip
    (file,) = press(request, Console(quiet=True))
    training, with_marks = (Tokenizer.from_file(str(base / "tokenizer.json")) for _ in range(2))
    training.encode_special_tokens = True  # As the job's encoder.
    rng = random.Random(f"{architecture} {extra}")
    with llama_cpp(file.path) as ids:
        for _ in range(TEXTS):
            text = random_text(rng, marks)
            assert ids(text, False) == training.encode(text, add_special_tokens=False).ids, repr(text)
            assert ids(text, True) == with_marks.encode(text, add_special_tokens=False).ids, repr(text)
