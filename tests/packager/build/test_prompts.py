"""The prompt at use has the token ids of training: through Ollama's template, Jinja and llama.cpp."""

from __future__ import annotations

import itertools
import json
import random
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.gguf.keys import read_scalars
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.instruct import InstructFormat
from starfreight.jobs.data.formats.interface import IGNORED, Example
from starfreight.jobs.data.sources.interface import Sample
from starfreight.ollama_template.template import Message, OllamaTemplate
from starfreight.packager.build.build_package import build_package
from starfreight.packager.build.templates import CHAT_TEMPLATES, TEMPLATES
from starfreight.packager.press import ModelIdentity, PressRequest, press
from starfreight.recipe import Data

ASK = ("user", "Write a function that adds 12 and 7.")
ANSWER = ("assistant", "def add(a, b):\n    return a + b")
AGAIN = ("user", "Now subtract.")
SYSTEM = ("system", "Write short code.")

CONVERSATIONS: dict[str, tuple[Message, ...]] = {
    "one turn": (ASK,),
    "two turns": (ASK, ANSWER, AGAIN),
    "three turns": (ASK, ANSWER, AGAIN, ("assistant", "def sub(a, b): ..."), ("user", "And multiply.")),
    "a system message": (SYSTEM, ASK),
    "a system message, two turns": (SYSTEM, ASK, ANSWER, AGAIN),
    "a system message in the middle": (ASK, ANSWER, ("system", "Use Go.\n"), AGAIN),
    "two system messages": (SYSTEM, ("system", "Use Go."), ASK, ANSWER, ("system", "Or C."), AGAIN),
    "an empty system message": (("system", ""), ASK),
    "two instructions in a row": (ASK, ("user", "Be quick. "), ANSWER, AGAIN, ASK),
    "two answers in a row": (ASK, ANSWER, ("assistant", "print(1)"), AGAIN),
    "an answer first": (("assistant", "Hello."), ASK, ANSWER, AGAIN),
    "a system message and an answer first": (SYSTEM, ("assistant", "Hello."), ASK),
    "an answer to go on with": (ASK, ("assistant", "def add(")),
    "an answer to go on with in a second turn": (SYSTEM, ASK, ANSWER, AGAIN, ("assistant", "def sub(")),
    "marks of templates": (("user", "{{ .Prompt }} {{- end }} {% if x %} {# no #}"), ANSWER, AGAIN),
    "other characters": (
        ("system", "Ünïcode 漢字 🙂"), ("user", "\u00a0é\u2028x"), ("assistant", "ok 🙂"), AGAIN,
    ),
    "space around texts": (
        ("system", " \t s \n\n"), ("user", "\n  x = 1  \n\n\n"), ("assistant", "y \n\n"), ("user", " z\t "),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The starter's tokenizer as training uses it."""
    return Encoder(STARTER_FOLDER)


def trained_prompt(encoder: Encoder, messages: tuple[Message, ...]) -> list[int]:
    """The ids that training has before an answer to these messages, or up to the end of their last answer."""
    goes_on = messages[-1][0] == "assistant"
    record = [*messages] if goes_on else [*messages, ANSWER]
    sample = Sample(
        "x",
        {"messages": [{"role": role, "content": text} for role, text in record]},
        "sha256:" + "0" * 64,
        1,
    )
    form = InstructFormat(Data(source="x", format="instruct"), encoder, 4096)
    (example,) = form.examples([sample], random.Random(0))
    assert isinstance(example, Example)
    if goes_on:
        return example.ids[:-1]
    ends = [number for number, label in enumerate(example.labels) if label == IGNORED]
    return example.ids[: ends[-1] + 1]


def ids_at_use(text: str) -> list[int]:
    """A prompt's ids, with the tokens spelled out in it as tokens."""
    ids: list[int] = Tokenizer.from_file(str(STARTER_FOLDER / "tokenizer.json")).encode(text).ids
    return ids


def rendered_by_jinja(messages: tuple[Message, ...]) -> str:
    """As in transformers; an answer to go on with comes after the prompt, as in llama-server."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    goes_on = messages[-1][0] == "assistant"
    said = messages[:-1] if goes_on else messages
    text = environment.from_string(CHAT_TEMPLATES["instruct"]).render(
        messages=[{"role": role, "content": content} for role, content in said], add_generation_prompt=True
    )
    return text + messages[-1][1] if goes_on else text


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ollama_sends_the_ids_of_training(name: str, encoder: Encoder) -> None:
    messages = CONVERSATIONS[name]
    prompt = OllamaTemplate(TEMPLATES["instruct"]).chat(messages)
    assert ids_at_use(prompt) == trained_prompt(encoder, messages), prompt


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_jinja_template_gives_the_ids_of_training(name: str, encoder: Encoder) -> None:
    messages = CONVERSATIONS[name]
    prompt = rendered_by_jinja(messages)
    assert ids_at_use(prompt) == trained_prompt(encoder, messages), prompt


def test_random_conversations_have_the_ids_of_training(encoder: Encoder) -> None:
    rng = random.Random(15)
    words = ["x = 1", "a\n\nb", " y", "z ", "#", "7\n", "\n", "é", "{{ end }}", "### Response", "{% raw %}"]
    tried = 0
    while tried < 200:
        roles = rng.choices(["system", "user", "assistant"], [1, 3, 3], k=rng.randint(1, 7))
        # In training, an answer begins with a token of its own, also after white space.
        texts = [
            "w" * (role == "assistant") + "".join(rng.choices(words, k=rng.randint(1, 4))) for role in roles
        ]
        pairs = [("system", roles[0]), *itertools.pairwise(roles)]
        odd = {("user", "system"), ("system", "assistant")} & {*pairs[1:]}
        refused = pairs[-1] == ("assistant", "assistant")  # By llama-server.
        if odd or refused or roles[-1] == "system" or "user" not in roles or not all(map(str.strip, texts)):
            continue
        tried += 1
        messages = tuple(zip(roles, texts, strict=True))
        expected = trained_prompt(encoder, messages)
        assert ids_at_use(OllamaTemplate(TEMPLATES["instruct"]).chat(messages)) == expected, messages
        assert ids_at_use(rendered_by_jinja(messages)) == expected, messages


def test_an_instruction_without_its_answer_has_no_end_of_text() -> None:
    messages = (ASK, ("system", "Use Go."), AGAIN)
    prompt = OllamaTemplate(TEMPLATES["instruct"]).chat(messages)
    assert prompt == rendered_by_jinja(messages)
    assert prompt.endswith("### Response\nUse Go.\n\n### Instruction\nNow subtract.\n\n### Response\n")
    assert "<|endoftext|>" not in prompt


@pytest.mark.parametrize("name", TEMPLATES)
def test_with_a_suffix_ollama_sends_prefix_suffix_middle(name: str, encoder: Encoder) -> None:
    prompt = OllamaTemplate(TEMPLATES[name]).insert("def f(x):\n    ", "\n\nf(12)\n")
    before, after = (encoder.encode(text) for text in ("def f(x):\n    ", "\n\nf(12)\n"))
    fim = encoder.fim
    assert ids_at_use(prompt) == [fim.prefix, *before, fim.suffix, *after, fim.middle]


def test_the_completion_template_passes_the_text_on() -> None:
    template = OllamaTemplate(TEMPLATES["completion"])
    assert template.chat([("user", "  x = {{ 1 }}\n")]) == "  x = {{ 1 }}\n"
    assert "completion" not in CHAT_TEMPLATES


def test_another_role_is_refused() -> None:
    environment = jinja2.Environment()

    def raise_exception(text: str) -> str:
        raise ValueError(text)

    template = environment.from_string(CHAT_TEMPLATES["instruct"], {"raise_exception": raise_exception})
    with pytest.raises(ValueError, match="roles of this model are system, user and assistant"):
        template.render(messages=[{"role": "tool", "content": "x"}])
    assert template.render(messages=[{"role": "developer", "content": "x"}]) == "x\n\n"


def test_ollama_keeps_its_own_template() -> None:
    """It prefers a GGUF file's template with more abilities, found by these words (``server/images.go``)."""
    assert not any(word in CHAT_TEMPLATES["instruct"] for word in ("tools", "tool_call", "think"))


@pytest.mark.parametrize(
    ("package", "found"),
    [
        ({"template": "instruct"}, CHAT_TEMPLATES["instruct"]),
        ({"template": "completion"}, None),
        ({"template": "{{ .Prompt }}"}, None),
        ({"template": "{{ .Prompt }}", "chat_template": "{{ messages }}"}, "{{ messages }}"),
        ({"template": "instruct", "ship": "adapter"}, None),  # The base's file is the same in every package.
    ],
)
def test_the_gguf_file_has_the_chat_template_of_the_recipe(
    package: dict[str, str],
    found: str | None,
    make_run: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    built = build_package(make_run(tmp_path, **package), tmp_path / "p", None, console)
    blob = tmp_path / "p/blobs/sha256" / built.variants[0].gguf.digest.removeprefix("sha256:")
    assert read_scalars(blob).get("tokenizer.chat_template") == found


Post = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """llama.cpp with an instruct model, a function for its other addresses, and the encoder of training."""

    running: Any
    post: Post
    encoder: Encoder


@pytest.fixture(scope="module", params=["starcoder2", "starcoder"])
def server(
    request: pytest.FixtureRequest,
    make_checkpoint: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A server for each architecture, StarCoder2's with the vocabulary of the starter."""
    xllamacpp = pytest.importorskip("xllamacpp")
    out = tmp_path_factory.mktemp("chat")
    base = STARTER_FOLDER
    if request.param == "starcoder":
        base = make_checkpoint(out / "base", "starcoder", context=1024)
    identity = ModelIdentity("Chat", chat_template=CHAT_TEMPLATES["instruct"])
    made = press(PressRequest(base, None, ("Q8_0",), out, "chat", identity), Console(quiet=True))
    params = xllamacpp.CommonParams()
    params.model.path = str(made[0].path)
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity = 1024, 1, 0, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = params.fit_params = params.ui = False
    key = secrets.token_hex(16)
    params.api_keys = [key]
    running = xllamacpp.Server(params)

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(running.listening_address + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return dict(json.load(answer))

    yield Server(running, post, Encoder(base))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_llama_server_sends_the_ids_of_training(name: str, server: Server) -> None:
    messages = CONVERSATIONS[name]
    body = {"messages": [{"role": role, "content": text} for role, text in messages]}
    prompt = server.post("/apply-template", body)["prompt"]
    assert prompt == rendered_by_jinja(messages)
    ids = server.post("/tokenize", {"content": prompt, "parse_special": True})["tokens"]
    expected = trained_prompt(server.encoder, messages)
    assert ids == expected
    answer = server.running.handle_chat_completions(body | {"max_tokens": 1, "temperature": 0})
    assert answer["usage"]["prompt_tokens"] == len(expected)
