"""``starfreight try``, with real files in llama.cpp."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from starfreight.completion.completer import Choices, Completer
from starfreight.completion.model_source import ModelSource, find_model
from starfreight.completion.place import find_place
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.gguf.local_model import LocalModel
from starfreight.packager.build.build_package import build_package
from starfreight.packager.cli.try_model import try_model

PROMPT = "def area(radius):\n    "


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "area.py"
    path.write_text("import math\n\n\ndef area(r):\n    return \n\n\nprint(area(2))\n")
    return path


@pytest.fixture
def make_package(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Makes ``packages/tiny`` beside ``runs/tiny``."""

    def make(**package: Any) -> Path:
        run = make_run(tmp_path / "w", **package)
        out = tmp_path / "w/packages/tiny"
        build_package(run, out, None, Console(quiet=True))
        return out

    return make


def said(*arguments: str | Path, code: int = 0, text: str | None = None) -> Any:
    done = CliRunner().invoke(try_model, [str(each) for each in arguments], input=text)
    if code == 0 and done.exception is not None:
        raise done.exception
    return done


def test_a_place_is_filled_in_as_by_the_ids_of_training(starter: Path, source_file: Path) -> None:
    place = find_place(f"{source_file}:5")
    with LocalModel(starter, threads=1) as model:
        expected = model.fill(place.prefix, place.suffix, max_tokens=12)
    done = said(starter, f"{source_file}:5", "--json", "--max-tokens", "12")
    answer = json.loads(done.stdout)
    assert answer == {
        "model": "t-Q8_0", "place": f"{source_file}:5:12", "completion": expected.text,
        "tokens": len(expected.tokens), "stop": expected.stop, "context_files": [],
    }  # fmt: skip
    assert said(starter, f"{source_file}:5", "--max-tokens", "12").stdout == expected.text + "\n"


def test_a_prompt_is_completed(starter: Path) -> None:
    with LocalModel(starter, threads=1) as model:
        expected = model.complete(PROMPT, max_tokens=12)
    answer = json.loads(said(starter, "--prompt", PROMPT, "--json", "--max-tokens", "12").stdout)
    assert answer["completion"] == expected.text


def test_a_seed_repeats_a_random_completion(starter: Path) -> None:
    def draw(seed: int) -> str:
        arguments = ("--temperature", "1.5", "--seed", str(seed), "--max-tokens", "24")
        return str(said(starter, "--prompt", PROMPT, *arguments).stdout)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_pieces_arrive_while_the_model_goes_on(starter: Path) -> None:
    with Completer(find_model(starter), Choices(max_tokens=900)) as model:
        pieces = model.answer([("user", PROMPT)])
        first = next(pieces)
        assert first and model.last.tokens < 100
        began = time.monotonic()
        pieces.close()  # type: ignore[attr-defined]
        assert "".join(model.answer([("user", PROMPT)])).startswith(first)
        assert time.monotonic() - began < 60


def test_a_stop_of_the_package_ends_a_completion(starter: Path) -> None:
    with Completer(find_model(starter), Choices(max_tokens=20)) as model:
        whole = "".join(model.answer([("user", PROMPT)]))
    word = whole.strip().split()[1]
    source = ModelSource("t", starter, settings={"stop": [word], "temperature": 0, "num_ctx": 512})
    with Completer(source, Choices(max_tokens=20)) as model:
        assert "".join(model.answer([("user", PROMPT)])) == whole[: whole.index(word)]
        assert model.last.stop == "stop"


def test_a_package_brings_its_template_its_context_and_its_formats(
    make_package: Callable[..., Path], source_file: Path
) -> None:
    package = make_package(template="instruct", system="Be brief.", parameters={"num_ctx": 128, "top_k": 1})
    found = find_model(package)
    assert (found.name, found.adapter, found.system) == ("tiny", None, "Be brief.")
    assert found.settings["num_ctx"] == 128 and found.formats == {"fim"}
    assert "<|endoftext|>" in found.stops
    with Completer(found, Choices(max_tokens=8)) as model:
        assert model.converses
        assert (
            model._prompts.render([("user", "Add.")])
            == "Be brief.\n\n### Instruction\nAdd.\n\n### Response\n"
        )
        list(model.fill(find_place(f"{source_file}:5")))
        assert model.last.tokens <= 8
    run = package.parent.parent / "runs/tiny"
    assert find_model(run) == found
    with pytest.raises(InputError, match="the context has room"):
        said(package, "--prompt", "x " * 200, "--max-tokens", "8")
    with pytest.raises(InputError, match="too few") as refused:
        said(package, "--prompt", "x", "--max-tokens", "120")
    assert refused.value.fix == "lower --max-tokens to 96 or less"
    with pytest.raises(InputError, match="has no Q4_K_M") as refused:
        said(package, "--prompt", "x", "--quantization", "q4_k_m")
    assert refused.value.fix == "choose from Q8_0"


def test_an_adapter_runs_beside_its_base(make_package: Callable[..., Path]) -> None:
    package = make_package(ship="adapter", quantizations=["F32"])
    found = find_model(package)
    assert found.adapter is not None
    texts = []
    for source in (found, ModelSource("base", found.gguf)):
        with Completer(source, Choices(max_tokens=30)) as model:
            texts.append("".join(model.answer([("user", "abc def")])))
    assert texts[0] != texts[1]


def test_context_is_the_repository_if_the_model_was_trained_so(starter: Path, source_file: Path) -> None:
    (source_file.parent / "shapes.py").write_text("def square(x):\n    return x * x\n")
    place = find_place(f"{source_file}:5")
    trained = ModelSource("t", starter, formats=frozenset({"repository"}))
    for source, choice, files in (
        (trained, None, ("shapes.py",)), (trained, False, ()),
        (ModelSource("t", starter), None, ()), (ModelSource("t", starter), True, ("shapes.py",)),
    ):  # fmt: skip
        with Completer(source, Choices(max_tokens=4, context=choice)) as model:
            list(model.fill(place))
            assert model.last.files == files
    done = said(starter, f"{source_file}:5", "--context", "--max-tokens", "4")
    assert "With 1 other file " in done.stderr


def test_an_unpackaged_run_says_what_to_do(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with pytest.raises(InputError, match="not packaged") as refused:
        find_model(run)
    assert refused.value.fix == f"make its package, then name that: starfreight package build {run}"


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x"), os.mkfifo]
)
def test_what_is_no_model_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "m")
    with pytest.raises(InputError):
        said(tmp_path / "m", "--prompt", "x")


def test_options_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    assert "exclude each other" in said(tmp_path, "a:1", "--prompt", "x", code=2).stderr
    assert "--json needs a place" in said(tmp_path, "--json", code=2).stderr


def test_without_llama_cpp_the_error_names_the_extra(starter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InputError) as refused:
        said(starter, "--prompt", "x")
    assert refused.value.fix == "pip install 'starfreight[llama]'"


def test_places_and_texts_are_completed_one_after_another(starter: Path, source_file: Path) -> None:
    place = said(starter, f"{source_file}:5", "--max-tokens", "6").stdout
    text = said(starter, "--prompt", "def f(\n    x", "--max-tokens", "6").stdout
    asked = f'{source_file}:5\n\n"""def f(\n    x"""\n/clear\n{source_file}:99\n{source_file}:5'
    done = said(starter, "--max-tokens", "6", text=asked)
    assert done.stdout == place + text + place
    assert "there is no line 99" in done.stderr


def test_escape_sequences_of_a_model_do_not_reach_the_terminal() -> None:
    from starfreight.packager.complete.interactive import show

    with CliRunner().isolation() as streams:
        show(iter(["a\x1b[2J", "b\r\n\tc"]))
        assert streams[0].getvalue() == b"a [2Jb \n\tc"


def test_ctrl_c_stops_a_completion_and_ctrl_d_leaves(starter: Path) -> None:
    command = [sys.executable, "-m", "starfreight", "try", str(starter), "--max-tokens", "960"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    ) as running:
        assert running.stdin and running.stdout and running.stderr
        running.stdin.write(b"def area(\n")
        running.stdin.flush()
        assert os.read(running.stdout.fileno(), 1)
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert b"Stopped." in errors and b"Traceback" not in errors
    assert len(out) < 60_000
