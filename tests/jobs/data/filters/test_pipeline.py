from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.filters.pipeline import FilterPipeline
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.training_text import sample_text, training_text
from starfreight.recipe.data import Data, Filters
from starfreight.swhid import content_swhid

CODE = "def total(basket):\n    return sum(price * count for price, count in basket.values())\n" * 3


def pipeline(folder: Path, license: str = "MIT", **filters: Any) -> FilterPipeline:
    return FilterPipeline(Data(source="./src", license=license, filters=Filters(**filters)), folder)


def test_a_finding_describes_the_sample(tmp_path: Path, make_sample: Callable[..., Sample]) -> None:
    sample = make_sample(
        "# SPDX-License-Identifier: ISC\n# a@acme.com\n" + CODE, "src/a.py", repository="o/n", commit="1" * 40
    )
    found = pipeline(tmp_path).run(sample)
    assert found.rejected_by is None
    assert found.detail is None
    assert (found.license, found.language, found.repository, found.commit) == (
        "ISC",
        "Python",
        "o/n",
        "1" * 40,
    )
    assert found.swhid == content_swhid(str(sample.content).encode())
    assert found.replaced == {"e-mail address": 1}
    assert len(found.key) == 16
    assert found.signature is not None
    assert len(found.signature) == 512


def test_the_first_rejection_counts_and_legal_reasons_come_first(
    tmp_path: Path, make_sample: Callable[..., Sample], secrets: dict[str, str]
) -> None:
    (tmp_path / "list.txt").write_text("o/n\n")
    (tmp_path / "eval.txt").write_text(CODE)
    text = (
        "# SPDX-License-Identifier: GPL-3.0-only\n# @generated\n"
        + CODE
        + secrets["Slack Token"]
        + "\n# a@acme.com\n"
        + "x" * 1001
    )
    path = "vendor/a.py"
    options: dict[str, Any] = {
        "opt_out": "list.txt",
        "evaluation_sets": ("eval.txt",),
        "personal_data": "leave_out",
    }
    seen = []
    for change in (
        {"opt_out": None}, {"licenses": "any"}, {"vendored": False}, {"generated": False},
        {"minified": False},
        {"evaluation_sets": ()}, {"secrets": "keep"}, {"personal_data": "keep"},
    ):  # fmt: skip
        found = pipeline(tmp_path, **options).run(make_sample(text, path, repository="o/n"))
        assert found.signature is None
        assert found.replaced == {}
        seen.append(found.rejected_by)
        options |= change
    assert seen == [
        "opt_out",
        "license",
        "vendored",
        "generated",
        "minified",
        "contamination",
        "secrets",
        "personal_data",
    ]
    assert pipeline(tmp_path, **options).run(make_sample(text, path)).rejected_by is None


def test_equal_texts_have_equal_keys(tmp_path: Path, make_sample: Callable[..., Sample]) -> None:
    one = pipeline(tmp_path)
    key = one.run(make_sample("a = 1\nb = 2\n", "a.py")).key
    assert key == one.run(make_sample("a = 1  \r\nb = 2\n\n", "b.py")).key
    assert key != one.run(make_sample("a = 1\n b = 2\n", "a.py")).key


def test_a_pipeline_gives_the_same_in_another_process_and_in_threads(
    tmp_path: Path, make_sample: Callable[..., Sample], secrets: dict[str, str]
) -> None:
    (tmp_path / "eval.txt").write_text(CODE)
    one = pipeline(tmp_path, evaluation_sets=("eval.txt",), secrets="replace")
    samples = [
        make_sample(f"{line}\n# {number}@acme.com\n") for number, line in enumerate(secrets.values())
    ] * 4
    expected = [one.run(sample) for sample in samples]
    sent = pickle.loads(pickle.dumps(one))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(sent.run, samples)) == expected


def test_a_list_or_set_that_is_missing_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        pipeline(tmp_path, opt_out="none.txt")
    with pytest.raises(InputError):
        pipeline(tmp_path, evaluation_sets=("none",))


def test_a_record_is_its_texts(
    tmp_path: Path, make_sample: Callable[..., Sample], secrets: dict[str, str]
) -> None:
    messages = {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        "id": "7",
    }
    assert training_text(messages) == "Hi\n\nHo"
    assert training_text({"prefix": "a", "middle": "b", "suffix": "c"}) == "abc"
    assert training_text({"response": "b", "prompt": "a"}) == "a\n\nb"
    instructions = FilterPipeline(Data(source="./a.jsonl", license="MIT", format="instruct"), tmp_path)
    found = instructions.run(make_sample({"prompt": "p", "response": secrets["Slack Token"]}, None))
    assert (found.rejected_by, found.swhid) == ("secrets", None)


def test_instructions_are_the_texts_of_their_turns_and_report_their_keys(
    tmp_path: Path, make_sample: Callable[..., Sample]
) -> None:
    data = Data(source="./a.jsonl", license="MIT", format="instruct")
    one = FilterPipeline(data, tmp_path)
    sample = make_sample({"instruction": "Sort.", "input": "xs", "output": "xs.sort()", "id": 3}, None)
    assert sample_text(sample, data) == "Sort.\n\nxs\n\nxs.sort()"
    found = one.run(sample)
    assert (found.dialect, found.notes, found.unused) == ("Alpaca", ("with input",), ("id",))
    tools = {"role": "assistant", "tool_calls": [{"id": "1"}]}
    found = one.run(make_sample({"messages": [{"role": "user", "content": "a"}, tools]}, None))
    assert (found.rejected_by, found.detail) == ("conversation", "has tool calls")
    with pytest.raises(InputError, match="no known dialect"):
        one.run(make_sample({"question": "a", "answer": "b"}, None))


def test_redaction_keeps_the_shape_and_counts(secrets: dict[str, str]) -> None:
    content = {"messages": [{"role": "user", "content": "I am a@acme.com"}], "tags": ("x@acme.com", 7, None)}
    result, counts = redact(content, Filters())
    assert result == {"messages": [{"role": "user", "content": "I am <EMAIL>"}], "tags": ["<EMAIL>", 7, None]}
    assert counts == {"e-mail address": 2}
    url = secrets["Basic Auth Credentials"].replace("db.internal", "db.acme.com")
    assert redact(url, Filters(secrets="replace")) == (
        'url = "postgres://app:<PASSWORD>@db.acme.com/x"',
        {"Basic Auth Credentials": 1},
    )
    assert redact(url, Filters(secrets="keep", personal_data="keep")) == (url, {})


def test_the_pipeline_imports_neither_a_training_library_nor_numpy() -> None:
    code = "import sys, starfreight.jobs.data.filters.pipeline\n"
    code += "print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
