"""The suite ``speed``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.errors import JobStopped
from starfreight.jobs.evaluate.models.gguf_model import GgufModel
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
from starfreight.jobs.evaluate.suites.interface import (
    Machinery,
    Measured,
    Preparation,
    Problem,
    SkippedSuite,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.speed import SpeedSuite
from starfreight.packager.press import ModelIdentity, PressRequest, press

Open = Callable[[int | None], Model]


def problems(count: int, seed: int = 0) -> list[Problem]:
    def none() -> Any:
        raise AssertionError("no held-out files are needed")

    options = SuiteOptions(limit=count, seed=seed)
    return list(SpeedSuite().prepare(Preparation(Path.cwd(), options, none, Console(quiet=True))).problems)


def machinery(
    scratch: Path, model: Open, gguf: Path | None = None, check: Callable[[], None] = int
) -> Machinery:
    def no_sandbox() -> Any:
        raise AssertionError("nothing is run")

    return Machinery(
        SuiteOptions(), model, gguf, None, None, 1, no_sandbox, scratch, check, lambda amount, what=None: None
    )


class Clockwork:
    """A server of known speed, which tells or does not tell the first token."""

    slots = 2

    def __init__(self, tokens: int = 64, first: float | None = 0.5) -> None:
        self.tokens, self.first, self.asked = tokens, first, 0

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        for request in requests:
            assert request.endless and request.temperature == 0
            self.asked += 1
            seconds = (self.first or 0.0) + 2.0 * (1 + self.asked % 2)
            yield request, Completion("x", self.tokens, 100, "length", self.first, seconds)


def measured(scratch: Path, model: Any, count: int = 4, **more: Any) -> Measured:
    return SpeedSuite().measure(problems(count), machinery(scratch, lambda slots: model, **more))


def test_a_real_model_is_measured(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    request = PressRequest(STARTER_FOLDER, None, ("Q8_0",), tmp_path, "t", ModelIdentity("Starter"))
    gguf = press(request, Console(quiet=True))[0].path
    target = LocalTarget(gguf, None, ModelFiles("starter", {"num_ctx": 1024, "stop": ["\n"]}))
    opened: list[GgufModel] = []

    def open_model(slots: int | None) -> Model:
        for each in opened:
            each.close()
        opened.append(GgufModel(target, slots=slots or 2, threads=1))
        return opened[-1]

    found = SpeedSuite().measure(problems(2), machinery(tmp_path, open_model, gguf))
    opened[-1].close()
    figures = {each.name: each for each in found.figures}
    assert set(figures) == {
        "prompt_tokens_per_second", "tokens_per_second", "tokens_per_second_all_slots",
        "time_to_first_token", "load_time", "peak_memory",
    }  # fmt: skip
    assert found.figures[0].name == "tokens_per_second", "the one that jobs list shows"
    assert all(each.low <= each.value <= each.high and each.value > 0 for each in found.figures)
    assert figures["peak_memory"].value > gguf.stat().st_size
    assert figures["tokens_per_second"].items == 2 and figures["time_to_first_token"].better == "lower"
    assert found.settings["single"]["slots"] == 1 and found.settings["all_slots"]["slots"] == 2
    assert found.scores["tokens_per_second"].keys() == {"measurement-001", "measurement-002"}


def test_figures_are_medians_of_the_measurements(tmp_path: Path) -> None:
    found = measured(tmp_path, Clockwork(), count=5)
    figures = {each.name: each for each in found.figures}
    assert figures["time_to_first_token"].value == 0.5
    assert figures["prompt_tokens_per_second"].value == 200
    # 63 tokens after the first in 2 or 4 seconds, in turns; the warm-up is not counted.
    speed = figures["tokens_per_second"]
    assert (speed.value, speed.low, speed.high, speed.method) == (31.5, 15.75, 31.5, "bootstrap")
    assert "load_time" not in figures and "peak_memory" not in figures  # Unknown behind a server.


def test_a_server_that_does_not_stream_has_no_time_to_the_first_token(tmp_path: Path) -> None:
    names = {each.name for each in measured(tmp_path, Clockwork(first=None)).figures}
    assert names == {"tokens_per_second", "tokens_per_second_all_slots"}


def test_a_model_that_generates_nothing_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(SkippedSuite, match="too few tokens"):
        measured(tmp_path, Clockwork(tokens=0))


def test_a_resumption_gives_the_same_figures(tmp_path: Path) -> None:
    left = iter(range(3))

    def check() -> None:
        if next(left, None) is None:
            raise JobStopped("Stopped.")

    first = Clockwork()
    with pytest.raises(JobStopped):
        measured(tmp_path, first, check=check)
    kept = json.loads((tmp_path / "measurements.json").read_text())["values"]["tokens_per_second"]
    assert len(kept) == 3
    second = Clockwork(tokens=32)
    whole = measured(tmp_path, second)
    assert whole.scores["tokens_per_second"].items() > kept.items()
    assert second.asked == 1 + 1 + 1 + 3 * 4  # Two warm-ups, the missing one, all slots.
    third = Clockwork()
    assert measured(tmp_path, third).figures == whole.figures and third.asked == 0


def test_a_damaged_list_of_measurements_is_measured_again(tmp_path: Path) -> None:
    for data in ("{", "[]", '{"values": 3, "settings": {}}', '{"values": {"a": []}, "settings": {}}'):
        (tmp_path / "measurements.json").write_text(data)
        assert measured(tmp_path, Clockwork()).figures


def test_prompts_are_the_seeds_and_all_differ() -> None:
    texts = [each["text"] for each in problems(8)]
    assert len({text[:200] for text in texts}) == 8 and texts == [each["text"] for each in problems(8)]
    assert texts[0] != problems(1, seed=1)[0]["text"]
    compile(texts[0], "prompt", "exec")
