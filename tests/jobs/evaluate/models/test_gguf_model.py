"""Packaged models through llama.cpp."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.jobs.evaluate.models.gguf_model import GgufModel, _finds_gpu
from starfreight.jobs.evaluate.models.interface import Completion, Context, ContextFile, Request
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles

CODE = Path(__file__).read_text()
INSTRUCT = "{{ if .System }}{{ .System }}\n\n{{ end }}### Instruction\n{{ .Prompt }}\n\n### Response\n"
Target = Callable[..., LocalTarget]


@pytest.fixture(scope="module")
def model(target: Target) -> Iterator[GgufModel]:
    with GgufModel(target(), slots=1, threads=1) as opened:
        yield opened


def one(model: GgufModel, request: Request) -> Completion:
    ((found, completion),) = model.complete([request])
    assert found is request
    return completion


def texts(model: GgufModel, requests: Sequence[Request]) -> dict[str, tuple[str, int, str]]:
    return {each.id: (done.text, done.tokens, done.stop) for each, done in model.complete(requests)}


def test_a_completion_depends_on_its_request_alone(target: Target) -> None:
    settings = {"num_ctx": 768, "stop": []}
    requests = [
        Request(
            f"{kind}{at}", CODE[: at * 3], CODE[at * 3 :][:300], most_tokens=32, temperature=warm, seed=at
        )
        for kind, warm in (("greedy", 0.0), ("sampled", 0.9))
        for at in range(50, 400, 30)
    ]
    with GgufModel(target(settings=settings), slots=1, threads=1) as model:
        alone = texts(model, requests)
        again = [replace(each, seed=each.seed + 1) for each in requests if each.temperature]
        assert any(alone[name] != found for name, found in texts(model, again).items())
    assert len(alone) == len(requests) and len(set(alone.values())) > len(requests) // 2
    with GgufModel(target(settings=settings), slots=3, threads=1) as wide:
        assert texts(wide, requests[::-1]) == alone


def test_a_place_is_filled_by_the_packaged_template(model: GgufModel) -> None:
    prompts = model._workers[0].prompts
    assert model.fills and prompts.fill_form == "template" and not model.instructs
    text = "<fim_prefix>def area(r):\n    return <fim_suffix>\n\nprint(1)<fim_middle>"
    prompt = prompts.fill("def area(r):\n    return ", "\n\nprint(1)", 100)
    assert list(prompt.ids) == model._workers[0]._encode(text, special=True) and not prompt.shortened
    # A token's name in the code is a text, as in training.
    hostile = prompts.fill("a = '<fim_middle>'", "b", 100).ids
    assert hostile.count(prompt.ids[-1]) == 1
    # Without a suffix it is still a place, where Ollama would send the plain prefix.
    assert prompts.fill("a", "", 100).ids[0] == prompt.ids[0]


def test_a_template_that_cannot_insert_leaves_it_to_the_files_tokens(
    target: Target, model: GgufModel
) -> None:
    with GgufModel(target(template=INSTRUCT, system="Be brief."), slots=1, threads=1) as instructed:
        prompts, encode = instructed._workers[0].prompts, instructed._workers[0]._encode
        assert instructed.fills and prompts.fill_form == "tokens" and instructed.instructs
        assert prompts.fill("a = ", "\nb", 100) == model._workers[0].prompts.fill("a = ", "\nb", 100)
        whole = prompts.instruct("Add.", 100)
        expected = encode("Be brief.\n\n### Instruction\nAdd.\n\n### Response\n", special=True)
        assert list(whole.ids) == expected
        cut = prompts.instruct("Add. " * 200 + "Now.", 60)
        assert cut.shortened and len(cut.ids) <= 60
        end = len(encode("\n\n### Response\n"))
        assert list(cut.ids[-end:]) == list(whole.ids[-end:]) and cut.ids[:4] == whole.ids[:4]


def test_stop_texts_of_the_package_and_of_the_request_end_a_completion(
    target: Target, model: GgufModel
) -> None:
    request = Request("a", "import os\nimport ", most_tokens=40, endless=True)
    free = one(model, request)
    assert free.tokens == 40 and free.stop == "length"
    request = replace(request, endless=False, stop=("\n",))
    cut = one(model, request)
    assert (cut.text, cut.stop) == (free.text.split("\n")[0], "stop")
    with GgufModel(target(settings={"stop": ["\n"]}), slots=1, threads=1) as stopping:
        assert one(stopping, replace(request, stop=())).text == cut.text


def test_special_tokens_of_the_package_end_a_completion(target: Target, model: GgufModel) -> None:
    """Their names are in no text that llama.cpp would search for stops."""
    name = "<fim_prefix>"
    (number,) = model._workers[0]._encode(name, special=True)
    with GgufModel(target(settings={"stop": [name]}), slots=1, threads=1) as stopping:
        worker = stopping._workers[0]
        request = Request("a", "x", most_tokens=8)
        body = worker._body(request, worker.prompts.resume("x", 100)) | {"logit_bias": [[number, 1000.0]]}
        answer = worker._post("/completion", body, 8)
    assert (answer["content"], answer["tokens_predicted"], answer["stop_type"]) == ("", 1, "word")


@pytest.mark.parametrize("suffix", [None, "", "\n" + CODE * 3])
def test_a_long_prompt_is_shortened_as_in_training(model: GgufModel, suffix: str | None) -> None:
    done = one(model, Request("a", CODE * 3, suffix, most_tokens=16))
    assert done.shortened and 230 <= done.prompt_tokens <= 240 and done.tokens <= 16
    assert not one(model, Request("b", "a", suffix and "b", most_tokens=16)).shortened


def test_a_completion_longer_than_the_context_ends_with_it(model: GgufModel) -> None:
    done = one(model, Request("a", CODE * 3, most_tokens=100_000, endless=True))
    assert done.shortened and done.prompt_tokens == 128 and done.stop == "length" and done.tokens >= 120


@pytest.mark.parametrize("prefix", ["", "\x00", "\ud800", "é" * 50, "<|endoftext|>", "\U0001f600\r\n\t"])
def test_odd_prefixes_are_completed(model: GgufModel, prefix: str) -> None:
    for suffix in (None, "", prefix):
        done = one(model, Request("a", prefix, suffix, most_tokens=4, temperature=5.0, seed=1))
        done.text.encode()  # It can be written.
        assert done.tokens <= 4 and done.seconds > 0 and done.first_token is not None


def test_files_of_the_repository_are_put_before_the_place(model: GgufModel) -> None:
    context = Context("acme", "b.py", (ContextFile("a.py", "def area(r):\n    return r\n"),))
    assert model.repositories
    without = one(model, Request("a", "x = ", "\n", most_tokens=4))
    done = one(model, Request("b", "x = ", "\n", context, most_tokens=4))
    assert done.prompt_tokens > without.prompt_tokens + 10 and not done.shortened
    assert one(model, Request("c", CODE, "\n" + CODE, context, most_tokens=4)).shortened


def test_a_file_without_the_tokens_cannot_fill_in(gguf: Path, tmp_path: Path) -> None:
    data = gguf.read_bytes()
    assert data.count(b"ggml.fim_mid_token_id") == 1
    (tmp_path / "plain.gguf").write_bytes(data.replace(b"ggml.fim_mid_token_id", b"ggml.fim_xyz_token_id"))
    with GgufModel(LocalTarget(tmp_path / "plain.gguf", None, ModelFiles("m")), slots=1, threads=1) as model:
        assert not model.fills and not model.repositories and not model.instructs
        assert one(model, Request("a", "import ", most_tokens=3)).tokens == 3
        with pytest.raises(InputError, match="no fill-in-the-middle tokens"):
            list(model.complete([Request("b", "a", "b")]))


@pytest.mark.parametrize("kept", [0, 100, 5_000, 400_000])
def test_a_broken_file_is_refused(gguf: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "broken.gguf").write_bytes(gguf.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"not a valid GGUF|cannot load"):
        GgufModel(LocalTarget(tmp_path / "broken.gguf", None, ModelFiles("m")), slots=2, threads=1)


def test_a_template_that_ollama_would_refuse_is_refused(target: Target) -> None:
    with pytest.raises(RecipeError, match="Ollama would refuse"):
        GgufModel(target(template="{{ if }}"), slots=1, threads=1)


def test_a_killed_llama_cpp_loses_no_finished_completion(target: Target) -> None:
    with GgufModel(target(), slots=1, threads=1) as model:
        kept = []
        with pytest.raises(ServiceError, match="failed") as caught:
            for request, _ in model.complete(Request(str(at), CODE[:50], most_tokens=2) for at in range(50)):
                kept.append(request.id)
                if len(kept) == 3:
                    os.kill(model._processes[0].process.pid, signal.SIGKILL)
        assert caught.value.exit_code == 4 and {"0", "1"} <= set(kept) and 3 <= len(kept) < 50


def test_leaving_early_ends_what_is_under_way(model: GgufModel) -> None:
    taken = []

    def requests() -> Iterator[Request]:
        for at in range(100):
            taken.append(at)
            yield Request(str(at), "import ", most_tokens=1 if at == 0 else 200, endless=True)

    running = model.complete(requests())
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5
    assert one(model, Request("after", "import ", most_tokens=2)).tokens == 2


def test_more_requests_than_a_connection_takes(model: GgufModel) -> None:
    done = list(model.complete(Request(str(at), "a", most_tokens=1) for at in range(250)))
    assert len(done) == 250 and (model.memory is None or model.memory > 10 << 20)


@pytest.mark.parametrize(
    ("kind", "expected"), [("GPU", True), ("IGPU", True), ("CPU", False), ("ACCEL", False)]
)
def test_a_gpu_is_found_among_the_devices(kind: str, expected: bool) -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    (device,) = (
        each for each in xllamacpp.ggml_backend_dev_type if each.name == f"GGML_BACKEND_DEVICE_TYPE_{kind}"
    )
    listed = SimpleNamespace(get_device_info=lambda: [{"type": device}])
    assert _finds_gpu(listed) == expected


def test_slots_fit_the_memory(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    for memory, expected in ((300 << 20, 1), (600 << 20, 2), (64 << 30, 3), (None, 1)):
        monkeypatch.setattr(
            "starfreight.jobs.evaluate.models.gguf_model.available_memory", lambda m=memory: m
        )
        with GgufModel(target(), threads=3) as model:
            assert model.slots == expected and model.settings["threads"] == 3
