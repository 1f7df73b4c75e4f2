from __future__ import annotations

from collections.abc import Callable

import pytest

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.personal_data import PersonalDataFilter, find_personal_data
from starfreight.spans import replaced


def redacted(text: str) -> str:
    return replaced(text, find_personal_data(text))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("# by Jane Doe <jane.doe@acme.com>", "# by Jane Doe <<EMAIL>>"),
        ("mailto:jane+code@mail.acme.co.uk?subject=x", "mailto:<EMAIL>?subject=x"),
        ("Contact jane@acme.io.", "Contact <EMAIL>."),
        ("'jürgen@müller.de'", "'<EMAIL>'"),
        ("名前@例え.テスト.jp", "<EMAIL>"),
        ("a@b.com,c@d.org", "<EMAIL>,<EMAIL>"),
        ("host = '93.184.216.34'", "host = '192.168.3.11'"),
        ("http://93.184.216.34:80/x", "http://192.168.3.11:80/x"),
        ("93.184.216.34 81.2.69.142 93.184.216.34", "192.168.3.11 192.168.127.12 192.168.3.11"),
        ("[2a00:1450:4001:81b::200e]", "[fd00::11]"),
    ],
)
def test_what_finds_a_person_or_a_machine_is_replaced(text: str, result: str) -> None:
    assert redacted(text) == result


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com", "user@mail.example.org", "root@localhost", "noreply@acme.com",
        "12345+jane@users.noreply.github.com", "git@github.com:owner/name.git", "name@service.test",
        "@property\ndef x(self): ...", "@app.route('/')", "y = x@self.weight", "y = left@right.mean(0)",
        "pip install name@1.2.3", "a @ b.T", "@media screen", "foo@bar",
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.1.254", "172.16.31.10", "169.254.169.254",
        "255.255.255.255",
        "192.0.2.17", "198.51.100.1", "203.0.113.99", "224.0.0.251", "8.8.8.8", "1.1.1.1",
        "version 12.34.56.78", "VERSION = '10.11.12.13'", "v12.34.56.78", "name==12.34.56.78",
        "name-12.34.56.78",
        "Chrome/91.10.44.12", "1.2.3.4", "12.34.56.78.90", "300.300.300.300", "2.5.29.17", "012.034.056.078",
        "1.3.6.1.4.1.311", "std::vector", "a[1::2]", "12:34:56", "::1", "fe80::1", "2001:db8::1",
        "dead::beef",
        "2024:01:02", "aa:bb:cc:dd:ee:ff",
    ],
)  # fmt: skip
def test_what_finds_nobody_stays(text: str) -> None:
    assert redacted(text) == text


def test_the_filter_names_the_first_and_quotes_nothing(make_document: Callable[..., Document]) -> None:
    one = PersonalDataFilter()
    assert one.reject(make_document("a\nb@acme.com\n93.184.216.34")) == "e-mail address (line 2, and 1 more)"
    assert one.reject(make_document("x = 1\n")) is None


def test_replacing_twice_changes_nothing_more() -> None:
    text = "jane@acme.com 93.184.216.34 2a00:1450:4001:81b::200e"
    assert redacted(redacted(text)) == redacted(text)
