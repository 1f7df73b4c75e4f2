"""``starfreight serve-model``: the requests of editors, configured as docs/use-it.md says."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from starfreight.completion.model_source import ModelSource
from starfreight.errors import InputError, ServiceError
from starfreight.ollama_template.template import OllamaTemplate
from starfreight.packager.build.templates import CHAT_TEMPLATES, TEMPLATES
from starfreight.packager.complete.editors import CONTINUE, EDITORS, LLAMA_VIM, LLAMA_VSCODE, MINUET
from starfreight.packager.complete.model_server import (
    ModelServer,
    ServerChoices,
    chat_template,
    is_loopback,
    model_server,
    reachable,
)

PAGE = Path(__file__).parents[3] / "docs/use-it.md"
BEFORE, AFTER = "def area(radius):\n    return ", "\n\n\nprint(area(2))\n"
FILL = f"<fim_prefix>{BEFORE}<fim_suffix>{AFTER}<fim_middle>"
SETTINGS = {"num_ctx": 512, "stop": ["<|endoftext|>", "<file_sep>"], "temperature": 0}


@pytest.fixture(scope="module")
def source(starter: Path) -> ModelSource:
    return ModelSource(
        "acme-coder", starter, settings=SETTINGS, template=TEMPLATES["instruct"], formats=frozenset({"fim"})
    )


@pytest.fixture(scope="module")
def server(source: ModelSource) -> Iterator[ModelServer]:
    with model_server(source, ServerChoices(port=0, threads=1)) as running:
        yield running


def post(address: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("POST", place.path, json.dumps(body), {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    data = answer.read().decode()
    connection.close()
    return answer.status, data if body.get("stream") else json.loads(data)


def configuration(server: ModelServer, text: str) -> str:
    """A configuration from the page, for the running server."""
    page = PAGE.read_text()
    assert text in page
    return text.replace("http://127.0.0.1:8012", server.address)


def evaluated(server: ModelServer, prompt: str) -> int:
    return len(post(f"{server.address}/tokenize", {"content": prompt, "parse_special": True})[1]["tokens"])


@pytest.mark.parametrize("editor", EDITORS, ids=lambda editor: editor.key)
def test_the_page_has_the_configurations_that_the_command_prints(editor: Any) -> None:
    assert f"\n{editor.text}```" in PAGE.read_text()
    moved = editor.configuration("http://127.0.0.1:9000", "other")
    assert "8012" not in moved and "acme-coder" not in moved


def test_llama_vscode_fills_in(server: ModelServer) -> None:
    endpoint = json.loads(configuration(server, LLAMA_VSCODE.text))["llama-vscode.endpoint"]
    body = {
        "id_slot": 0, "input_prefix": BEFORE[: -len("    return ")], "input_suffix": AFTER, "input_extra": [],
        "prompt": "    return ", "n_predict": 128, "n_cmpl": 3, "top_k": 40, "top_p": 0.99, "stream": False,
        "samplers": ["top_k", "top_p", "infill"], "cache_prompt": True, "n_indent": 4,
        "t_max_prompt_ms": 500, "t_max_predict_ms": 500,
    }  # fmt: skip
    status, answers = post(f"{endpoint}/infill", body)
    assert status == 200 and len(answers) == 3
    assert {answer["prompt"] for answer in answers} == {FILL}
    # Its warming up.
    assert post(f"{endpoint}/infill", {**body, "n_predict": 0, "samplers": [], "n_cmpl": 1})[0] == 200


def test_long_texts_leave_room_for_an_answer(server: ModelServer) -> None:
    body = {"input_prefix": "x = 1\n" * 900, "input_suffix": "y = 2\n" * 900, "n_predict": 128}
    status, answer = post(f"{server.address}/infill", body)
    assert status == 200 and answer["tokens_predicted"] > 0
    assert answer["tokens_evaluated"] <= server.context - 120
    assert answer["prompt"].startswith("<fim_prefix>") and answer["prompt"].endswith("<fim_middle>")


def test_llama_vscode_chats_with_the_prompt_of_training(server: ModelServer) -> None:
    endpoint = json.loads(configuration(server, LLAMA_VSCODE.text))["llama-vscode.endpoint_chat"]
    messages = [
        {"role": "system", "content": "You are an expert coder."},
        {"role": "user", "content": "Add."},
    ]
    body = {"messages": messages, "stream": False, "temperature": 0.8, "max_tokens": 4}
    status, answer = post(f"{endpoint}/v1/chat/completions", body)
    prompt = OllamaTemplate(TEMPLATES["instruct"]).chat(
        [("system", "You are an expert coder."), ("user", "Add.")]
    )
    assert status == 200 and answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["prompt_tokens"] == evaluated(server, prompt)


def test_llama_vim_fills_in(server: ModelServer) -> None:
    found = dict(re.findall(r"'(\w+)': '([^']+)'", configuration(server, LLAMA_VIM.text)))
    extra = [{"text": "import math\n", "time": [1, 2], "filename": "shapes.py"}]
    body = {
        "id_slot": 0, "input_prefix": BEFORE[: -len("    return ")], "input_suffix": AFTER,
        "input_extra": extra, "prompt": "    return ", "n_predict": 128, "stop": [], "n_indent": 4,
        "top_k": 40, "top_p": 0.90, "samplers": ["top_k", "top_p", "infill"], "stream": False,
        "cache_prompt": True,
        "t_max_prompt_ms": 500, "t_max_predict_ms": 1000, "model": "",
        "response_fields": ["content", "timings/prompt_n", "truncated", "tokens_cached"],
    }  # fmt: skip
    status, answer = post(found["endpoint_fim"], body)
    assert status == 200 and isinstance(answer["content"], str)
    whole = {name: value for name, value in body.items() if name != "response_fields"}
    assert post(found["endpoint_fim"], whole)[1]["prompt"] == FILL  # The files only where trained so.
    assert (
        post(found["endpoint_inst"], {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1})[0]
        == 200
    )


def test_a_model_of_the_repository_format_gets_the_files(source: ModelSource) -> None:
    trained = replace(source, formats=frozenset({"repository"}))
    body = {
        "input_prefix": BEFORE, "input_suffix": AFTER, "n_predict": 4,
        "input_extra": [{"filename": "shapes.py", "text": "import math\n"}],
    }  # fmt: skip
    with model_server(trained, ServerChoices(port=0, threads=1)) as running:
        prompt = post(f"{running.address}/infill", body)[1]["prompt"]
    assert "<file_sep>shapes.py\nimport math\n" in prompt and prompt.endswith(FILL)


def test_minuet_fills_in(server: ModelServer) -> None:
    text = configuration(server, MINUET.text)
    found = dict(re.findall(r"(\w+) = '([^']+)'", text))
    pieces = re.search(r"return '(.*?)' \.\. before \.\. '(.*?)' \.\. after \.\. '(.*?)'", text)
    assert pieces is not None and "suffix = false" in text
    prompt = pieces[1] + BEFORE + pieces[2] + AFTER + pieces[3]
    assert prompt == FILL
    body = {"model": found["model"], "stream": True, "max_tokens": 56, "temperature": 0, "prompt": prompt}
    status, answer = post(found["end_point"], body, Authorization="Bearer xterm", Accept="application/json")
    assert status == 200 and answer.startswith("data: ") and "data: [DONE]" in answer
    body |= {"stream": False}
    assert post(found["end_point"], body)[1]["usage"]["prompt_tokens"] == evaluated(server, FILL)


def test_continue_fills_in(server: ModelServer) -> None:
    (model,) = yaml.safe_load(configuration(server, CONTINUE.text))["models"]
    assert (model["provider"], model["roles"]) == ("llama.cpp", ["autocomplete"])
    template = model["promptTemplates"]["autocomplete"]
    prompt = template.replace("{{{prefix}}}", BEFORE).replace("{{{suffix}}}", AFTER)
    assert prompt == FILL
    body = {"prompt": prompt, "stream": True, "n_predict": 16, "stop": ["<fim_prefix>"], "temperature": 0.01}
    status, answer = post(f"{model['apiBase']}completion", body, Authorization="Bearer undefined")
    assert status == 200 and answer.startswith("data: ")


def test_continue_and_jetbrains_find_ollamas_insert() -> None:
    """With Ollama, Continue looks for this word and then sends prompt and suffix, without ``raw``."""
    assert all(".Suffix" in text for text in TEMPLATES.values())
    (model,) = yaml.safe_load(_block("yaml", "provider: ollama"))["models"]
    assert model["model"] == "registry.example.com/acme/coder:1.0" and model["roles"] == ["autocomplete"]
    for text in TEMPLATES.values():
        assert OllamaTemplate(text).insert(BEFORE, AFTER) == FILL


def _block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(next(each for each in blocks if containing in each))


def test_the_packages_stops_end_a_completion(source: ModelSource, server: ModelServer) -> None:
    body = {"prompt": "def area(r):\n    ", "max_tokens": 20}
    whole = post(f"{server.address}/v1/completions", body)[1]["choices"][0]["text"]
    word = whole.split()[1]
    stopping = replace(source, settings={**SETTINGS, "stop": [word]})
    with model_server(stopping, ServerChoices(port=0, threads=1)) as running:
        choice = post(f"{running.address}/v1/completions", body)[1]["choices"][0]
    assert choice["text"] == whole[: whole.index(word)]


@pytest.mark.parametrize("system", [None, 'Say "x"\\n\n{{ y }} {% z %} é\u2028'])
def test_a_system_prompt_is_sent_unless_the_conversation_has_one(
    source: ModelSource, system: str | None
) -> None:
    asked = [("user", "Add.")]
    template = OllamaTemplate(TEMPLATES["instruct"])
    with model_server(replace(source, system=system), ServerChoices(port=0, threads=1)) as running:
        for messages in (asked, [("system", "Own."), *asked]):
            sent = [{"role": role, "content": text} for role, text in messages]
            got = post(f"{running.address}/apply-template", {"messages": sent})[1]["prompt"]
            packaged = [("system", system)] if system and messages == asked else []
            assert got == template.chat([*packaged, *messages])


def test_a_completion_model_gets_the_text_of_a_chat(source: ModelSource) -> None:
    told = replace(source, template=TEMPLATES["completion"], system="Unused.")
    with model_server(told, ServerChoices(port=0, threads=1)) as running:
        sent = {"messages": [{"role": "user", "content": "def f("}]}
        assert post(f"{running.address}/apply-template", sent)[1]["prompt"] == "def f("


def test_a_file_keeps_its_own_chat_template(source: ModelSource) -> None:
    assert chat_template(replace(source, template=None)) is None
    assert chat_template(replace(source, template="{{ .Prompt }}!")) is None
    assert chat_template(source) == CHAT_TEMPLATES["instruct"]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "127.0.0.1.evil.example"]
)
def test_other_machines_need_a_key(source: ModelSource, host: str) -> None:
    with pytest.raises(InputError, match="Anyone who can reach"), model_server(source, ServerChoices(host)):
        pass
    assert not is_loopback(host)
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST")))


def test_an_address_of_this_machine_is_shown_for_all_addresses() -> None:
    assert reachable("http://0.0.0.0:8012") == f"http://{socket.gethostname()}:8012"
    assert reachable("http://[::]:8012") == f"http://{socket.gethostname()}:8012"
    assert reachable("http://[::1]:8012") == "http://[::1]:8012"


def test_a_key_is_required_of_everyone(source: ModelSource) -> None:
    choices = ServerChoices("0.0.0.0", 0, "secret-key", 1)
    with model_server(source, choices) as running:
        address = f"http://127.0.0.1:{urlsplit(running.address).port}/infill"
        body = {"input_prefix": "a", "input_suffix": "b", "n_predict": 1}
        assert post(address, body)[0] == 401
        assert post(address, body, Authorization="Bearer wrong")[0] == 401
        assert post(address, body, Authorization="Bearer secret-key")[0] == 200


def test_other_sites_in_a_browser_are_not_answered(server: ModelServer) -> None:
    place = urlsplit(server.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request("OPTIONS", "/infill", headers={"Origin": "https://evil.example"})
    allowed = connection.getresponse().headers["Access-Control-Allow-Origin"]
    assert allowed not in ("*", "https://evil.example")


def test_an_address_in_use_is_named(source: ModelSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match="in use"), model_server(source, ServerChoices(port=port)):
            pass
    with pytest.raises(ServiceError), model_server(source, ServerChoices("203.0.113.9", 0, "key")):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server(starter: Path, number: int) -> None:
    command = [sys.executable, "-m", "starfreight", "serve-model", str(starter), "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}, text=True
    ) as running:
        assert running.stdout and running.stderr
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            line = running.stdout.readline()
            assert line, running.stderr.read()
            text += line
        said = json.loads(text)
        assert post(f"{said['address']}/v1/completions", {"prompt": "x", "max_tokens": 1})[0] == 200
        assert set(said["configurations"]) == {each.key for each in EDITORS}
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 0 and errors.endswith("Stopped.\n") and "Traceback" not in errors


def test_a_package_is_served_with_its_adapter(make_run: Callable[..., Path], tmp_path: Path) -> None:
    from starfreight.completion.model_source import find_model
    from starfreight.console import Console
    from starfreight.packager.build.build_package import build_package

    pytest.importorskip("xllamacpp")
    run = make_run(tmp_path / "w", ship="adapter", quantizations=["F32"])
    build_package(run, tmp_path / "p", None, Console(quiet=True))
    found = find_model(tmp_path / "p")
    texts = []
    for each in (found, replace(found, adapter=None)):
        with model_server(each, ServerChoices(port=0, threads=1)) as running:
            answer = post(f"{running.address}/v1/completions", {"prompt": "abc def", "max_tokens": 30})[1]
            texts.append(answer["choices"][0]["text"])
    assert texts[0] != texts[1]
