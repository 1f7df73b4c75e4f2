"""Values with a unit."""

from __future__ import annotations

import pytest

from starfreight.recipe.units import parse_duration, parse_fraction, parse_memory


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1B", 1), ("24GB", 24_000_000_000), ("16GiB", 17_179_869_184), ("1.5 kB", 1500),
        (" 2 MiB ", 2_097_152),
        ("512MB", 512_000_000), ("1TB", 10**12),
    ],
)  # fmt: skip
def test_memory_is_read_in_bytes(text: str, value: int) -> None:
    assert parse_memory(text) == value
    assert parse_memory(f"{value}B") == value


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("90m", 5400), ("2h", 7200), ("1.5d", 129_600)])
def test_a_duration_is_read_in_seconds(text: str, value: int) -> None:
    assert parse_duration(text) == value
    assert parse_duration(f"{value}s") == value


@pytest.mark.parametrize(
    ("given", "value"), [("10%", 0.1), ("0%", 0), ("100 %", 1), (0.25, 0.25), (1, 1), (0, 0)]
)
def test_a_fraction_is_a_percentage_or_a_number(given: object, value: float) -> None:
    assert parse_fraction(given) == value


@pytest.mark.parametrize(
    "given", ["", "GB", "24", 24, 2.5, None, True, "1e3GB", "24 G B", "٢GB", "9" * 16 + "B"]
)
def test_anything_but_an_amount_of_memory_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="24GB"):
        parse_memory(given)


@pytest.mark.parametrize("given", ["2 bananas", "h", 7200, "2H", "1h30m", "0s", "0.1s"])
def test_anything_but_a_duration_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="2h"):
        parse_duration(given)


@pytest.mark.parametrize("given", [1.5, -0.1, "101%", "-1%", True, "half", None, float("nan"), 10**400])
def test_anything_but_a_fraction_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="%"):
        parse_fraction(given)
