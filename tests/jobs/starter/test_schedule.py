from __future__ import annotations

from starfreight.jobs.starter.schedule import Schedule

SHORT = Schedule(steps=200, batch_tokens=4096, context_length=1024)
LONG = Schedule(steps=1000, batch_tokens=4096, context_length=1024)


def test_the_rate_rises_stays_and_falls_nearly_to_zero() -> None:
    rates = [SHORT.rate(step) for step in range(200)]
    assert rates[0] < rates[20] < rates[40] == rates[99] == max(rates) == 1.0
    assert rates[100] == 1.0 > rates[120] > rates[199] > 0
    assert rates[199] < 0.02


def test_nothing_before_the_fall_depends_on_the_number_of_steps() -> None:
    for step in range(SHORT.level_until):
        assert SHORT.rate(step) == LONG.rate(step)
        assert SHORT.row_length(step) == LONG.row_length(step)
        assert SHORT.rows_before(step) == LONG.rows_before(step)
        assert SHORT.mix(step) == LONG.mix(step)


def test_each_row_of_a_length_is_read_once_and_in_order() -> None:
    expected = {512: 0, 1024: 0}
    for step in range(SHORT.steps):
        length = SHORT.row_length(step)
        assert SHORT.rows_before(step) == expected[length]
        assert SHORT.batch_rows(step) * length == 4096
        expected[length] += SHORT.batch_rows(step)
    assert all(expected.values())
