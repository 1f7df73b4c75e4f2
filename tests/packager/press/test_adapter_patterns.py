"""The patterns of an adapter's configuration: PEFT's matches, in a time that no pattern can stretch."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.errors import InputError
from starfreight.packager.press.adapter import open_adapter
from starfreight.packager.press.adapter_patterns import PatternError, first_match, parse_patterns

NAMES = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.10.mlp.c_fc",
    "transformer.h.1.attn.c_attn",
    "lm_head",
    "..a.",
    "",
]
PATTERNS = [
    "q_proj", "q_pro", "self_attn.q_proj", r"layers\.0\..|x", "^lm_head", "model^", "c_(fc|attn)",
    "(q|k|v)_proj", "(|.)a(|.)",
    r"layers.[0-9][^.].mlp.c_fc", r"\d", r"h\.\d\.(attn|mlp)\.\w_attn", "[]a]", "[^]a].", r"[\]a]",
    "((a))|(b|)", "-", "]", r"\.", "|", "()", r"layers\.[01]0\.mlp\.c_fc", "(^model|lm)_head", r"\W\D",
]  # fmt: skip


def by_peft(pattern: str, name: str) -> bool:
    return re.match(rf"(.*\.)?({pattern})$", name) is not None


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_the_names_that_peft_finds(pattern: str) -> None:
    for name in NAMES:
        found = first_match(parse_patterns([pattern]), name)
        assert (found is not None) == by_peft(pattern, name), name


def test_random_patterns_match_as_regular_expressions_do() -> None:
    source, matched = random.Random(5), 0

    def some(depth: int) -> str:
        kind = source.randrange(8 if depth else 5)
        if kind < 5:
            return source.choice(["a", "b", ".", r"\.", "[ab]", "[^a]", "^", r"\w", "c"])
        if kind == 5:
            return f"({some(depth - 1)}|{some(depth - 1)})"
        return some(depth - 1) + some(depth - 1)

    for _ in range(3000):
        pattern = some(5)
        name = "".join(source.choices("ab.c", k=source.randrange(7)))
        expected = by_peft(pattern, name)
        assert (first_match(parse_patterns([pattern]), name) is not None) == expected, (pattern, name)
        matched += expected
    assert 300 < matched < 2700


@pytest.mark.parametrize(
    "pattern",
    ["(|.)" * 120 + "Z", "(.|..)" * 80 + "Z", "(((.|)|.)|(.|))" * 30 + "Z", "(a|a)" * 90 + "Z"],
)
def test_a_pattern_that_would_backtrack_for_ever_takes_no_time(pattern: str) -> None:
    start = time.perf_counter()
    patterns = parse_patterns([pattern] * 100)
    for number in range(10):
        assert first_match(patterns, f"model.layers.{number}.{'a' * 60}") is None
    assert time.perf_counter() - start < 20  # Backtracking takes years.


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a+)+", "repetition"), ("a*", "repetition"), ("a{2}", "repetition"), ("a?", "repetition"),
        ("a" * 501, "500 characters"), ("", "repetition"), (r"(a)\1", "escape"), (r"\bq_proj", "escape"),
        ("(" * 21 + ")" * 21, "levels"), ("(a", "not closed"), ("a)", "not opened"), ("[a", "bracket"),
        ("[z-a]", "bad character range"), ("a\\", "regular expression"),
    ],
)  # fmt: skip
def test_a_pattern_of_another_kind_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(PatternError) as caught:
        first_match(parse_patterns([pattern]), "aaaa")
    assert said in caught.value.what


def test_a_pattern_that_no_module_reaches_may_be_of_any_kind() -> None:
    assert first_match(parse_patterns(["q_proj", ".*"]), "layers.0.q_proj") == "q_proj"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"rank_pattern": {"(|.)" * 100 + "X": 4}}, None),
        ({"alpha_pattern": {"(.|..)" * 80 + "X": 4, "c_fc": 16}}, None),
        ({"rank_pattern": {f"{number:0490}": 4 for number in range(200)}}, "50,000 characters together"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern is not an object"),
        ({"Rank_Pattern": {}}, "ambiguous"),
    ],
)
def test_an_adapter_from_a_stranger_is_read_or_refused_at_once(
    config: dict[str, object],
    said: str | None,
    make_checkpoint: Callable[..., Path],
    make_adapter: Callable[..., Path],
    tmp_path: Path,
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=64, layers=1)
    adapter = make_adapter(tmp_path / "adapter", {"model.layers.0.mlp.c_fc.weight": (64, 64)}, **config)
    start = time.perf_counter()
    if said is None:
        assert open_adapter(adapter, open_checkpoint(base)).factors
    else:
        with pytest.raises(InputError, match=said):
            open_adapter(adapter, open_checkpoint(base))
    assert time.perf_counter() - start < 10


def test_a_name_twice_in_the_configuration_is_refused(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=64, layers=1)
    adapter = make_adapter(tmp_path / "adapter", {"model.layers.0.mlp.c_fc.weight": (64, 64)})
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()))[:-1] + ', "lora_alpha": 1000}')
    with pytest.raises(InputError, match="'lora_alpha' is given twice"):
        open_adapter(adapter, open_checkpoint(base))
