"""Completions survive a kill at any byte."""

from __future__ import annotations

import json
import resource
import signal
import threading
from pathlib import Path

import pytest

from starfreight.errors import InputError, ServiceError
from starfreight.jobs.evaluate.models.interface import Completion
from starfreight.jobs.evaluate.store import Store


def completion(text: str) -> Completion:
    return Completion(text, 3, 10, "stop", 0.5, 1.25)


def filled(folder: Path) -> Path:
    with Store(folder, "toy") as store:
        for number in range(3):
            store.keep_completion("a", number, 7, completion(f"text\n\u2028{number}"))
            store.keep_scores("a", number, {"passed": float(number)})
    return folder / "completions" / "toy.jsonl"


def test_completions_and_scores_are_found_again(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path, "toy") as store:
        assert store.completion("a", 2) == completion("text\n\u20282")
        assert store.scores("a", 2) == {"passed": 2.0}
        assert store.completion("a", 3) is None
        assert store.scores("b", 0) is None


def test_a_file_cut_at_any_byte_keeps_its_whole_lines_and_takes_new_ones(tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = path.read_bytes()
    for end in range(0, len(data) + 1, 7):
        path.write_bytes(data[:end])
        with Store(tmp_path, "toy") as store:
            whole = data[:end].count(b"\n")
            there = [store.completion("a", number) is not None for number in range(3)]
            assert there == [number < whole for number in range(3)]
            store.keep_completion("b", 0, 7, completion("new"))
        with Store(tmp_path, "toy") as store:
            assert store.completion("b", 0) == completion("new")
        assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_scores_of_a_changed_completion_do_not_count(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"20280", b"2028 changed"))
    with Store(tmp_path, "toy") as store:
        assert store.scores("a", 0) is None
        assert store.scores("a", 1) == {"passed": 1.0}


def test_lines_that_are_no_completions_are_passed_over(tmp_path: Path) -> None:
    path = filled(tmp_path)
    odd = [b"", b"null", b"[1]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"problem": 1, "sample": 0}']
    odd += [b'{"problem": "a", "sample": true, "text": "x"}', b'{"problem": "z", "sample": 0, "text": 3}']
    path.write_bytes(b"\n".join(odd) + b"\n" + path.read_bytes())
    with Store(tmp_path, "toy") as store:
        assert store.completion("a", 1) is not None
        assert store.completion("z", 0) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", "-5"), ("tokens", "1" + "0" * 400), ("tokens", "true"), ("prompt_tokens", "NaN"),
        ("seconds", "NaN"), ("seconds", "1e999"), ("seconds", "true"), ("seconds", "1" + "0" * 400),
        ("first_token", "Infinity"), ("first_token", '"x"'), ("stop", '"passed"'),
    ],
)  # fmt: skip
def test_a_completion_with_an_odd_number_is_made_again(tmp_path: Path, name: str, value: str) -> None:
    path = filled(tmp_path)
    first, *others = path.read_text().splitlines(keepends=True)
    odd = json.dumps({**json.loads(first), name: "odd"}).replace('"odd"', value)
    path.write_text(odd + "\n" + "".join(others))
    with Store(tmp_path, "toy") as store:
        assert store.completion("a", 0) is None and store.scores("a", 0) is None
        assert store.completion("a", 1) is not None


def test_half_a_character_in_an_edited_file_can_be_written_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_text(path.read_text().replace("text\\n", "\\ud800\\n"))
    with Store(tmp_path, "toy") as store:
        found = store.completion("a", 0)
        assert found is not None and found.text.encode()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1" + "0" * 400, "null", '"x"', "[]"])
def test_scores_that_are_no_finite_numbers_do_not_count(tmp_path: Path, value: str) -> None:
    filled(tmp_path)
    path = tmp_path / "completions/toy.scores.jsonl"
    path.write_text(path.read_text().replace('"passed": 1.0', f'"passed": {value}'))
    with Store(tmp_path, "toy") as store:
        assert store.scores("a", 1) is None
        assert store.scores("a", 2) == {"passed": 2.0}


def test_a_text_without_an_end_and_with_lone_surrogates_is_kept_in_part(tmp_path: Path) -> None:
    with Store(tmp_path, "toy") as store:
        kept = store.keep_completion("a", 0, 7, completion("\ud800" + "x" * 3_000_000))
        store.keep_scores("a", 0, {"passed": 0.0})
    with Store(tmp_path, "toy") as store:
        assert store.completion("a", 0) == kept
        assert len(kept.text) == 1 << 20 and kept.text.encode()
        assert store.scores("a", 0) == {"passed": 0.0}


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    (tmp_path / "job/completions").mkdir(parents=True)
    (tmp_path / "job/completions/toy.jsonl").symlink_to(outside)
    with pytest.raises(InputError):
        Store(tmp_path / "job", "toy")
    assert outside.read_text() == "precious\n"


def test_a_full_disk_loses_no_line(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    earlier = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Store(tmp_path, "toy") as store:
        store.keep_completion("a", 0, 7, completion("kept"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(ServiceError, match="No space"):
                store.keep_completion("a", 1, 7, completion("x" * 2000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, earlier)
        assert store.completion("a", 1) is None
        store.keep_completion("a", 1, 7, completion("later"))
    with Store(tmp_path, "toy") as store:
        assert store.completion("a", 0) == completion("kept")
        assert store.completion("a", 1) == completion("later")


def test_several_threads_write_whole_lines(tmp_path: Path) -> None:
    with Store(tmp_path, "toy") as store:

        def work(name: str) -> None:
            for number in range(50):
                store.keep_completion(name, number, 7, completion("x" * number * 100))

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Store(tmp_path, "toy") as store:
        assert all(store.completion(name, number) for name in "abcd" for number in range(50))
