"""Near duplicates among records of instructions: shared preambles and templates are no duplicates."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import MANIFEST_FILE, DataManifest
from starfreight.jobs.data.manifest.build_manifest import build_manifest
from starfreight.jobs.data.worker_pool import Batching
from starfreight.recipe import Data
from starfreight.recipe.data import Filters

Left = Callable[..., dict[str, int]]
WORDS = [
    first + second + third
    for first in ("ba", "ke", "di", "so", "lu", "ra", "ne", "mi")
    for second in ("ter", "lan", "vor", "kis", "pun", "gal")
    for third in ("o", "a", "um", "is")
]


def words(count: int, seed: object) -> str:
    return " ".join(random.Random(str(seed)).choices(WORDS, k=count))


def reworded(text: str, seed: object) -> str:
    """Replace one word: five shingles, of 200 or so."""
    parts = text.split()
    parts[random.Random(str(seed)).randrange(len(parts))] = "kindly"
    return " ".join(parts)


@pytest.fixture
def left_out(tmp_path: Path) -> Left:
    def read(rows: Sequence[tuple[str, str]], **options: Any) -> dict[str, int]:
        lines = (json.dumps({"prompt": prompt, "response": answer}) for prompt, answer in rows)
        (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
        filters = Filters(secrets="keep", personal_data="keep")
        data = Data(source="a.jsonl", format="instruct", license="MIT", held_out=0, filters=filters)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        build_manifest([data], [tmp_path / "a.jsonl"], tmp_path, out, Console(quiet=True), **options)
        (summary,) = DataManifest.load(out / MANIFEST_FILE).sources
        return {by: sum(reasons.values()) for by, reasons in summary.left_out.items()}

    return read


PREAMBLE = words(300, "preamble")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda number: f"def task_{number}(): return {number}", id="short answers"),
        pytest.param(lambda number: words(40, ("answer", number)), id="long answers"),
        pytest.param(lambda number: ("yes", "no")[number % 2], id="labels"),
        pytest.param(lambda number: words(60, "frame") + f" {number}", id="answers from a template"),
    ],
)
def test_different_tasks_with_one_long_preamble_are_all_kept(
    answer: Callable[[int], str], left_out: Left
) -> None:
    rows = [(f"{PREAMBLE}\n\nTask: {words(6, number)}", answer(number)) for number in range(100)]
    assert left_out(rows) == {}


def test_tasks_from_a_template_with_a_gap_are_all_kept(left_out: Left) -> None:
    rows = [(f"{words(60, 'head')} {words(3, n)} {words(60, 'tail')}", f"result_{n}({n})") for n in range(60)]
    assert left_out(rows) == {}


@pytest.mark.parametrize("answer_words", [3, 150])
@pytest.mark.parametrize("preamble", ["", PREAMBLE + "\n\n"])
def test_a_prompt_in_other_words_with_the_same_answer_is_left_out(
    preamble: str, answer_words: int, left_out: Left
) -> None:
    originals = [(words(200, n), words(answer_words, ("answer", n))) for n in range(40)]
    again = [(reworded(prompt, n), answer) for n, (prompt, answer) in enumerate(originals)]
    rows = [(preamble + prompt, answer) for prompt, answer in originals + again]
    assert left_out(rows) == {"near_duplicates": 40}


def test_an_answer_in_other_words_is_a_near_duplicate_too(left_out: Left) -> None:
    originals = [(words(40, n), words(200, ("answer", n))) for n in range(20)]
    again = [(reworded(prompt, n), reworded(answer, n)) for n, (prompt, answer) in enumerate(originals)]
    assert left_out(originals + again) == {"near_duplicates": 20}


def test_many_wordings_of_one_prompt_with_one_answer_are_left_out(left_out: Left) -> None:
    prompt, answer = words(200, "prompt"), words(30, "answer")
    rows = [(prompt, answer), *((reworded(prompt, n), answer) for n in range(50))]
    found = left_out(rows)
    assert found["near_duplicates"] + found.get("exact_duplicates", 0) == 50


def test_different_answers_to_one_prompt_are_kept(left_out: Left) -> None:
    prompt = words(200, "prompt")
    assert left_out([(prompt, f"answer_{n}") for n in range(30)]) == {}
    assert left_out([(prompt, words(40, n)) for n in range(30)]) == {}


def test_near_duplicates_with_a_frequent_label_are_left_out(left_out: Left) -> None:
    originals = [(words(200, n), ("yes", "no")[n % 2]) for n in range(40)]
    again = [(reworded(prompt, n), answer) for n, (prompt, answer) in enumerate(originals)]
    assert left_out(originals + again) == {"near_duplicates": 40}


def test_the_choice_does_not_depend_on_the_number_of_processes(tmp_path: Path, left_out: Left) -> None:
    originals = [(PREAMBLE + words(30, n), words(20, ("answer", n))) for n in range(30)]
    rows = originals + [(reworded(prompt, n), answer) for n, (prompt, answer) in enumerate(originals)]
    manifests = []
    for processes in (1, 3):
        left_out(rows, processes=processes, batching=Batching(cost=2000))
        manifests.append((tmp_path / "out" / MANIFEST_FILE).read_bytes())
    assert manifests[0] == manifests[1]


def test_an_equal_record_is_left_out_as_such_and_names_its_twin(tmp_path: Path, left_out: Left) -> None:
    row = (words(40, 1), words(40, 2))
    assert left_out([row, (words(40, 3), "x"), row]) == {"exact_duplicates": 1}
    (line,) = (tmp_path / "out/left_out.jsonl").read_text().splitlines()
    assert json.loads(line)["twin"] == {"source": 0, "name": "a.jsonl:1"}
