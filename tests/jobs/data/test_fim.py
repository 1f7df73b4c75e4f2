"""Fill-in-the-middle: cuts, orders, windows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.fim import MARKS, FimTokens, arrange, cut_characters, cut_line, shorten
from starfreight.jobs.data.formats import LeftOutExample, make_format
from starfreight.jobs.data.formats.windows import windows
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data

TOKENS = FimTokens(prefix=1, middle=2, suffix=3, end_of_text=0)
TEXTS = [
    "def f(x):\n    return x + 1\n",
    "a\r\nb\r\n",
    "ä = '日本語'\n\n)\n",
    "x",
    "\tif a:\n\t\tpass",
    "one\u2028two\x0cthree",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_of_a_cut_are_the_text_again(text: str) -> None:
    rng = random.Random(1)
    cuts = [cut for _ in range(50) for cut in (cut_line(text, rng), cut_characters(text, rng)) if cut]
    assert cuts
    assert all(cut.prefix + cut.middle + cut.suffix == text and cut.middle for cut in cuts)


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_cut_takes_the_rest_of_one_line_and_never_its_newline(text: str) -> None:
    rng = random.Random(2)
    for _ in range(50):
        cut = cut_line(text, rng)
        assert cut is not None
        assert len(cut.middle.splitlines()) == 1
        assert cut.middle == cut.middle.rstrip()
        assert (cut.prefix + cut.middle).splitlines()[-1].strip() in [
            line.strip() for line in text.splitlines()
        ]


def test_half_of_the_line_cuts_keep_nothing_of_the_line_but_its_indentation() -> None:
    rng = random.Random(3)
    cuts = [cut_line("    result = compute(value)\n", rng) for _ in range(1000)]
    whole = sum(cut is not None and cut.prefix == "    " for cut in cuts)
    assert 450 < whole < 600


@pytest.mark.parametrize("text", ["", "\n\n", ")\n}\n", "   "])
def test_a_text_without_a_word_has_no_line_to_cut(text: str) -> None:
    assert cut_line(text, random.Random(0)) is None


def test_one_character_cannot_be_cut() -> None:
    assert cut_characters("x", random.Random(0)) is None


def test_the_two_orders_are_those_of_the_papers() -> None:
    assert arrange([10, 11], [20], [30, 31], TOKENS, spm=False) == [1, 10, 11, 3, 30, 31, 2, 20, 0]
    assert arrange([10, 11], [20], [30, 31], TOKENS, spm=True) == [1, 3, 30, 31, 2, 10, 11, 20, 0]


def test_both_orders_add_as_many_marks_as_is_said() -> None:
    for spm in (False, True):
        assert len(arrange([], [], [], TOKENS, spm=spm)) == MARKS


@pytest.mark.parametrize("room", range(3, 40))
def test_shortening_keeps_the_middle_and_what_is_next_to_it(room: int) -> None:
    prefix, middle, suffix = list(range(100, 120)), [1, 2, 3], list(range(200, 210))
    kept = shorten(prefix, middle, suffix, room)
    assert kept is not None
    assert len(kept[0]) + len(middle) + len(kept[1]) == min(room, 33)
    assert prefix[len(prefix) - len(kept[0]) :] == kept[0]
    assert suffix[: len(kept[1])] == kept[1]


def test_a_middle_that_does_not_fit_gives_no_example() -> None:
    assert shorten([1], [1, 2, 3], [1], 2) is None


def make(encoder: Encoder, length: int = 64, **fim: Any) -> Any:
    return make_format(
        Data.model_validate_json(f'{{"source": "x", "fim": {fim!r}}}'.replace("'", '"')), encoder, length
    )


def test_the_rates_of_the_recipe_are_kept(encoder: Encoder, code_sample: Sample) -> None:
    rng = random.Random(5)
    form = make(encoder, length=4096, rate=0.75, spm_rate=0.25, line_rate=0.5, node_rate=0)
    ids = [example.ids for _ in range(1000) for example in form.examples([code_sample], rng)]
    marks = encoder.fim
    cut = [row for row in ids if row[0] == marks.prefix]
    spm = [row for row in cut if row[1] == marks.suffix]
    assert len(ids) == 1000
    assert 0.70 < len(cut) / len(ids) < 0.80
    assert 0.20 < len(spm) / len(cut) < 0.30
    psm = [row for row in cut if row[1] != marks.suffix]
    one_line = [row for row in psm if "\n" not in encoder.decode(row[row.index(marks.middle) + 1 : -1])]
    # A cut of characters falls inside one line now and then.
    assert 0.48 < len(one_line) / len(psm) < 0.65


@pytest.mark.parametrize(("rate", "spm"), [(0, 0), (1, 0), (1, 1)])
def test_a_rate_of_nothing_or_all_is_kept_to_the_letter(
    encoder: Encoder, code_sample: Sample, rate: int, spm: int
) -> None:
    form = make(encoder, rate=rate, spm_rate=spm)
    examples = list(form.examples([code_sample], random.Random(0)))
    # With nothing before the hole both orders begin alike.
    suffix_first = [example.ids[1] == encoder.fim.suffix for example in examples]
    assert all(suffix_first) if rate and spm else not all(suffix_first)
    for example in examples:
        assert (example.ids[0] == encoder.fim.prefix) == bool(rate)
        assert example.labels == example.ids
        assert len(example.ids) <= 64
    # A hole ends, and a file; a window of a file does not.
    ends = [example.ids[-1] == encoder.fim.end_of_text for example in examples]
    assert len(ends) > 3
    assert all(ends) if rate else ends == [False] * (len(ends) - 1) + [True]


def test_the_pieces_of_an_example_are_the_file_again(encoder: Encoder, code_sample: Sample) -> None:
    marks = encoder.fim
    for seed in range(20):
        for spm in (0, 1):
            (example,) = make(encoder, length=4096, rate=1, spm_rate=spm).examples(
                [code_sample], random.Random(seed)
            )
            ids = example.ids
            suffix, middle = ids.index(marks.suffix), ids.index(marks.middle)
            if spm:
                text = encoder.decode(ids[middle + 1 : -1]) + encoder.decode(ids[suffix + 1 : middle])
            else:
                text = (
                    encoder.decode(ids[1:suffix])
                    + encoder.decode(ids[middle + 1 : -1])
                    + encoder.decode(ids[suffix + 1 : middle])
                )
            assert text == code_sample.content


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"line_{number} = {number} * 2\n" for number in range(300)),
        "x = [" + "1234567890, " * 300 + "]",
        "".join(f"日本語 = '{'語' * 40}'\n" for _ in range(20)),
        "no newline at the end\n" * 50 + "end",
    ],
    ids=["lines", "one long line", "wide characters", "open end"],
)
def test_windows_cover_the_whole_text_without_loss_or_overlap(encoder: Encoder, text: str) -> None:
    for seed in range(5):
        found = list(windows(text, encoder, 60, random.Random(seed)))
        assert "".join(window.text for window in found) == text
        assert len(found) > 1
        assert all(len(window.encode()) <= 64 for window in found)
        assert [window.last for window in found] == [False] * (len(found) - 1) + [True]


def test_another_pass_cuts_a_file_elsewhere(encoder: Encoder) -> None:
    text = "".join(f"line_{number} = {number} * 2\n" for number in range(300))
    assert len({next(windows(text, encoder, 60, random.Random(seed))).text for seed in range(20)}) > 3


def test_a_special_token_that_is_spelled_out_in_a_file_is_text(encoder: Encoder) -> None:
    marks = {encoder.fim.prefix, encoder.fim.middle, encoder.fim.suffix, encoder.fim.end_of_text}
    text = "TOKENS = '<fim_prefix> <fim_middle> <fim_suffix> <|endoftext|> <file_sep>'\n"
    ids = encoder.encode(text)
    assert not marks & set(ids)
    assert all(number > 6 for number in ids)
    assert encoder.decode(ids) == text


def test_every_digit_is_a_token_of_its_own(encoder: Encoder) -> None:
    ids = encoder.encode("x = 1234567890")
    assert [encoder.decode([number]) for number in ids[-10:]] == list("1234567890")


def test_a_triple_is_taken_as_it_is(encoder: Encoder, make_sample: Callable[..., Sample]) -> None:
    record = {"prefix": "a = ", "middle": "1 + 2", "suffix": "\nprint(a)\n"}
    sample = make_sample(record)
    form = make(encoder, spm_rate=0)
    (example,) = form.examples([sample], random.Random(0))
    expected = arrange(
        encoder.encode("a = "),
        encoder.encode("1 + 2"),
        encoder.encode("\nprint(a)\n"),
        encoder.fim,
        spm=False,
    )
    assert example.ids == expected
    (probe,) = form.probes([sample], random.Random(0))
    assert encoder.decode(probe.ids[probe.start :]) == "1 + 2<|endoftext|>"


@pytest.mark.parametrize("field", ["content", "text", "code"])
def test_a_record_with_a_files_content_is_read_like_the_file(
    encoder: Encoder, code_sample: Sample, make_sample: Callable[..., Sample], field: str
) -> None:
    form = make(encoder)
    record = make_sample({field: code_sample.content}, "basket.py")
    assert list(form.examples([record], random.Random(3))) == list(
        form.examples([code_sample], random.Random(3))
    )


def test_a_probe_asks_for_the_rest_of_a_line(encoder: Encoder, code_sample: Sample) -> None:
    probes = list(make(encoder).probes([code_sample], random.Random(0)))
    assert probes
    for probe in probes:
        answer = encoder.decode(probe.ids[probe.start :])
        assert answer.endswith("<|endoftext|>")
        assert "\n" not in answer
        assert probe.ids[probe.start - 1] == encoder.fim.middle


def test_a_middle_that_does_not_fit_is_left_out_and_counted(
    encoder: Encoder, make_sample: Callable[..., Sample]
) -> None:
    sample = make_sample({"prefix": "a", "middle": "b " * 100, "suffix": "c"})
    (left_out,) = make(encoder).examples([sample], random.Random(0))
    assert isinstance(left_out, LeftOutExample)


def test_the_ids_of_a_piece_of_a_file_are_those_of_the_piece_alone(encoder: Encoder) -> None:
    rng = random.Random(4)
    alphabet = [
        " ",
        "\n",
        "\n    ",
        "  \n",
        "\t",
        "\r\n",
        "a",
        "b1",
        ".",
        "'s",
        "é",
        "語",
        "\u3000",
        "\x0b",
        "(",
        "x\n",
    ]
    assert encoder.splits_lines
    for text in [*TEXTS, *("".join(rng.choices(alphabet, k=300)) for _ in range(60))]:
        whole = encoder.encode_file(text)
        for _ in range(20):
            begin, end = sorted(rng.choices(range(len(text) + 1), k=2))
            before = rng.choice(["", "src/a.py\n"])
            assert whole.encode(begin, end, before) == encoder.encode(before + text[begin:end])
