"""YAML without its surprises."""

from __future__ import annotations

import time

import pytest

from starfreight.errors import RecipeError
from starfreight.recipe.yaml import MAX_DEPTH, parse_yaml


def refused(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_yaml(text, "recipe.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("off", "off"), ("YES", "YES"), ("y", "y"),
        ("1:30", "1:30"), ("12:34:56", "12:34:56"), ("2001-01-01", "2001-01-01"),
        ("2e-4", 2e-4), ("1e3", 1e3), (".5", 0.5), ("-1.5E+2", -150.0), ("3", 3), ("-7", -7), ("010", 10),
        ("0x10", "0x10"), ("1_000", "1_000"), ("0o7", "0o7"), ("1.2.3", "1.2.3"), (".inf", ".inf"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("'1'", "1"),
        ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "recipe.yaml")["key"]
    assert found == value
    assert type(found) is type(value)


def test_a_yaml_bomb_is_refused_before_it_grows() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{c}: &{c} [{', '.join([f'*{p}'] * 10)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)]
    began = time.monotonic()
    error = refused("\n".join(lines))
    assert "alias" in error.what
    assert error.where == "recipe.yaml, line 2"
    assert time.monotonic() - began < 5


def test_an_alias_of_itself_is_refused() -> None:
    assert "alias" in refused("a: &a [*a]").what


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: 2\na: 3", 3), ("x: {b: 1, 'b': 2}", 1), ("1: a\n'1': b", 2)]
)
def test_a_key_that_stands_twice_is_refused_with_its_line(text: str, line: int) -> None:
    error = refused(text)
    assert "twice" in error.what
    assert error.where == f"recipe.yaml, line {line}"


@pytest.mark.parametrize("depth", [MAX_DEPTH, 100_000])
@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_before_it_costs_anything(bracket: str, depth: int) -> None:
    began = time.monotonic()
    assert "nested" in refused(bracket * depth + "x").what
    assert time.monotonic() - began < 5


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    depth = MAX_DEPTH - 1
    assert str(parse_yaml("[" * depth + "x" + "]" * depth, "recipe.yaml")).count("[") == depth


@pytest.mark.parametrize(
    "text",
    [
        "!!binary aGVsbG8=", "!!timestamp 2001-01-01", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]",
        "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!mine x", "!!float 1:30",
        "!!float .inf", "!!int 1:30", "!!bool maybe",
    ],
)  # fmt: skip
def test_a_tag_that_is_not_of_plain_data_is_refused(text: str) -> None:
    assert "not valid YAML" in refused(f"key: {text}").what


@pytest.mark.parametrize(
    "text", ["a: 1\n---\nb: 2", "? [a, b]\n: 1", "a: 'open", "\ta: 1", "a: \x01", "%YAML 9"]
)
def test_what_is_not_one_plain_document_is_refused(text: str) -> None:
    error = refused(text)
    assert "not valid YAML" in error.what
    assert str(error.where).startswith("recipe.yaml")


def test_the_longest_recipe_that_is_read_takes_seconds_and_not_minutes() -> None:
    rows = "\n".join(f"  key{number}: [a, 'b', 1.5]" for number in range(256 * 1024 // 26))
    began = time.monotonic()
    assert len(parse_yaml("top:\n" + rows, "recipe.yaml")["top"]) == 256 * 1024 // 26
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("tag", ["null", "bool", "int", "float", "str", "seq", "map"])
@pytest.mark.parametrize("value", ["a: 1", "[a]", "[[a, b]]", "{a: b}", "{a: 1, b: [c]}", "word", "''"])
@pytest.mark.parametrize(
    "place", ["key: !!{tag} {value}", "[!!{tag} {value}]", "!!{tag} {value}", "!!{tag} {value}: 1"]
)
def test_a_tag_on_a_value_of_another_shape_is_read_or_refused(tag: str, value: str, place: str) -> None:
    try:
        parse_yaml(place.format(tag=tag, value=value), "recipe.yaml")
    except RecipeError as error:
        assert str(error.where).startswith("recipe.yaml, line 1")


@pytest.mark.parametrize(
    "text",
    [
        "!!map [a]",
        "!!map word",
        "!!int [1]",
        "!!float {a: 1}",
        "!!bool [true]",
        "!!null {}",
        "!!seq {}",
        "!!int 1e5",
        "!!null word",
        "1e999",
        "!!float -1e400",
    ],
)
def test_a_tag_that_does_not_fit_is_refused_with_its_line(text: str) -> None:
    error = refused(f"a: 1\nkey: {text}")
    assert "not valid YAML" in error.what
    assert error.where == "recipe.yaml, line 2"


def test_two_escapes_are_one_character_and_half_of_one_is_refused_with_its_line() -> None:
    assert parse_yaml(r'a: "\uD83D\uDE80"', "recipe.yaml") == {"a": "\U0001f680"}
    for half in (r'a: "x\uD83D"', r'"\uDE80": a', r'a: !!str "\uDE80\uD83D"', r'- ["\uD83Dx"]'):
        error = refused(f"# first\n{half}")
        assert "surrogate" in error.what
        assert error.where == "recipe.yaml, line 2"
