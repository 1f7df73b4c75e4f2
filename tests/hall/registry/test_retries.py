from __future__ import annotations

from email.utils import formatdate
from types import SimpleNamespace

import pytest

from starfreight.registry.retries import MAX_WAIT, asked_to_wait, retry_after
from starfreight.registry.session import retry_policy

NOW = 784_111_777.0  # The moment of RFC 9110's examples.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("7", 7), (" 7 ", 7), ("0.503", 0.503), ("-5", 0), ("-0.5", 0), ("+3", 3),
        ("9" * 30, 1e30), ("86400", 86_400), ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10), ("Sun Nov  6 08:49:47 1994", 10),
        ("Sun, 06 Nov 1994 09:49:47 +0100", 10), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_every_form_is_read(value: str, seconds: float) -> None:
    assert retry_after(value, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "soon", "1m0s", "PT5S", "nan", "inf", "1e9", "0x10", "７", "9" * 400, "1,5",
        "--1", ";", "Mon",
        "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 32 Dec 2026 23:59:59 GMT", "Fri, 31 Dec 2026 99:99:99 GMT",
        "Sun, 06 Nov 1994 08:49:47 +99999999999999999", "x" * 100_000, "Sun,,,,,", "0 0 0 0 0 0 0",
    ],
)  # fmt: skip
def test_what_means_nothing_leads_to_the_usual_backoff(value: str | None) -> None:
    assert retry_after(value, NOW) is None
    response = SimpleNamespace(headers={"Retry-After": value} if value else {}, status=503)
    assert retry_policy().get_retry_after(response) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["61", "86400", "9" * 30, formatdate(4e9, usegmt=True)])
def test_a_wait_is_bounded_and_the_rest_is_told(value: str) -> None:
    response = SimpleNamespace(headers={"Retry-After": value}, status=503)
    assert retry_policy().get_retry_after(response) == MAX_WAIT  # type: ignore[arg-type]
    assert asked_to_wait(value)


@pytest.mark.parametrize(
    ("value", "said"), [("3600", "1:00 h"), ("99999999999", "more than a year"), ("60", None), ("x", None)]
)
def test_a_long_wait_in_words(value: str, said: str | None) -> None:
    assert asked_to_wait(value) == said


def test_a_wait_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    slept: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    for value in ("20", "1"):
        retry_policy().sleep(SimpleNamespace(headers={"Retry-After": value}, status=429))  # type: ignore[arg-type]
    assert slept == [20, 1]
    assert capsys.readouterr().err == "The registry is busy (429); trying again in 20 s.\n"
