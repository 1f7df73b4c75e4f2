"""A run stops if most of a source is left out or nothing is held out, and names the key to set."""

from __future__ import annotations

import pytest

from starfreight.data_manifest import Count, SourceSummary
from starfreight.jobs.data.manifest.little_data import little_data, most_left_out, no_text
from starfreight.recipe import Data


def summary(
    train: int, held_out: int = 1, left_out: dict[str, dict[str, int]] | None = None, source: str = "./src"
) -> SourceSummary:
    """The counts of a source."""
    out = left_out or {}
    return SourceSummary(
        source=source, revision=None, format="fim", license="MIT", weight=1.0, repositories=1,
        found=train + held_out + sum(sum(reasons.values()) for reasons in out.values()),
        train=Count(samples=train, bytes=100 * train), held_out=Count(samples=held_out, bytes=100 * held_out),
        left_out=out, licenses={}, languages={}, replaced={}, records=None,
    )  # fmt: skip


DATA = Data(source="./src")


@pytest.mark.parametrize(
    ("left_out", "key"),
    [
        ({"license": {"license unknown": 11}}, "data[0].license"),
        ({"secrets": {"a private key": 11}}, "data[0].filters.secrets"),
        ({"near_duplicates": {"of one in this source": 11}}, "data[0].filters.near_duplicates"),
        ({"contamination": {"a run of words": 11}}, "data[0].filters.evaluation_sets"),
        ({"unusable": {"larger than 1 MiB": 11}}, "data[0].include"),
        ({"unusable": {"Git LFS pointer": 11}}, "data[0].include"),
        ({"a_later_filter": {"a reason": 11}}, "data[0].include"),
        ({"vendored": {"vendor": 91}}, "data[0].filters.vendored"),
        ({"generated": {"by its name": 91}}, "data[0].filters.generated"),
        ({"minified": {"long lines": 91}}, "data[0].filters.minified"),
        # Neither copies nor images are counted as texts of the source.
        ({"license": {"license unknown": 11}, "exact_duplicates": {"of one": 99}}, "data[0].license"),
        ({"license": {"license unknown": 11}, "unusable": {"binary": 99, "empty": 9}}, "data[0].license"),
        # No filter alone leaves out most, but together they leave one of ten.
        ({"license": {"a": 49}, "secrets": {"b": 48}}, "data[0].license"),
    ],
    ids=str,
)
def test_a_filter_that_leaves_out_most_of_a_source_is_named_with_its_key(
    left_out: dict[str, dict[str, int]], key: str
) -> None:
    error = little_data([DATA], [summary(8, 2, left_out)])
    assert error is not None
    assert key in str(error.fix) and "--allow-little-data" in str(error.fix)
    assert str(error.where).startswith("key data[0].")


@pytest.mark.parametrize(
    "left_out",
    [
        {"license": {"license unknown": 10}},
        {"near_duplicates": {"of one in this source": 10}},
        {"vendored": {"vendor": 80}},
        {"generated": {"by its name": 80}, "minified": {"long lines": 9}},
        {"exact_duplicates": {"of one in this source": 500}},
        {"held_out": {"the same text is held out": 500}},
        {"opt_out": {"its repository": 500}},
        {"personal_data": {"an e-mail address": 500}},
        {"unusable": {"binary": 500, "empty": 90, "symbolic link": 9}},
    ],
    ids=str,
)
def test_what_the_recipe_means_to_leave_out_is_no_reason_to_stop(left_out: dict[str, dict[str, int]]) -> None:
    assert little_data([DATA], [summary(8, 2, left_out)]) is None


def test_the_source_with_the_fault_is_named() -> None:
    bad = summary(8, 2, {"license": {"license GPL-3.0-only": 30}}, "./theirs")
    error = little_data([DATA, DATA], [summary(80, 8), bad])
    assert error is not None
    assert error.where == "key data[1].license, ./theirs"
    assert "30 of 40 texts" in error.what and "GPL-3.0-only" in error.what
    assert "data[1].filters.licenses" in str(error.fix)


def test_something_must_be_held_out_unless_the_recipe_holds_out_nothing() -> None:
    error = little_data([DATA], [summary(1, 0)])
    assert error is not None
    assert error.where == "key data[0].held_out, ./src"
    assert "held_out: 0" in str(error.fix)
    nothing = Data(source="./src", held_out=0)
    assert little_data([nothing], [summary(1, 0)]) is None
    assert little_data([DATA, DATA], [summary(1, 0), summary(9, 1)]) is None
    found = little_data([nothing, DATA], [summary(9, 0), summary(1, 0)])
    assert found is not None and "data[1].held_out" in str(found.where)


def test_a_source_without_text_names_its_patterns_or_its_path() -> None:
    empty = summary(0, 0)
    error = no_text(2, Data(source="./src", include=("*.rs",)), empty)
    assert error is not None and "include" in error.what
    assert error.where == "key data[2].include, ./src"
    error = no_text(2, Data(source="./src", exclude=("*",)), empty)
    assert error is not None and error.where == "key data[2].exclude, ./src"
    error = no_text(2, DATA, empty)
    assert error is not None and error.where == "key data[2].source, ./src"
    assert no_text(2, DATA, summary(1, 0)) is None


def test_a_license_that_the_files_state_is_allowed_by_another_key_than_a_forgotten_one() -> None:
    def fix(reason: str) -> str:
        found = most_left_out(0, summary(1, 1, {"license": {reason: 9}}))
        assert found is not None
        return str(found.fix)

    assert fix("license unknown").startswith("set data[0].license")
    assert fix("license GPL-3.0-only").startswith("allow it in data[0].filters.licenses")
