"""Values of a record in the model card: text, whatever they hold; usual ones as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.card.escape import code, inline, link, person
from starfreight.packager.layout import ImageLayout
from starfreight.run import Run

USUAL = [
    "MIT", "BSD-3-Clause", "Apache-2.0 AND MIT", "LicenseRef-BigCode_OpenRAIL-M", "GPL-3.0-only WITH x (c)",
    "NVIDIA H100 80GB HBM3", "Acme & Söhne", "C++ coder, 3.0 (beta)!", "日本語", "3 models", "a - b", "",
]  # fmt: skip
HOSTILE = {
    "a link": ("[free](https://evil.example)", r"\[free\](https\://evil.example)"),
    "an address": ("see HTTPS://evil.example", r"see HTTPS\://evil.example"),
    "an address without a scheme": ("www.evil.example", r"www\.evil.example"),
    "a picture": ("![](//evil.example/x)", r"!\[\](//evil.example/x)"),
    "a script": ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
    "an entity": ("&lt;b&#62;", r"\&lt;b\&#62;"),
    "a code span": ("`x`", r"\`x\`"),
    "a fence": ("```sh", r"\`\`\`sh"),
    "another fence": ("~~~", r"\~~~"),
    "another column": ("MIT | MIT", r"MIT \| MIT"),
    "a heading": ("# Free", r"\# Free"),
    "a list": ("- x", r"\- x"),
    "a numbered list": ("12. x", r"12\. x"),
    "a quotation": ("> x", r"\> x"),
    "a rule": ("---", r"\---"),
    "an escape": ("\\[x](y)", r"\\\[x\](y)"),
    "emphasis": ("**x**", r"\*\*x\*\*"),
    "lines": ("MIT\n\n# Free\r\n<b>", r"MIT # Free \<b\>"),
    "lines of another kind": ("MIT\u2028# Free\x85x\x0cy", "MIT # Free x y"),
    "a line that runs backwards": ("MIT\u202egnp.exe\u2066\u200b", "MITgnp.exe"),
    "the end of the front matter": ("x\n---\nlicense: other", "x --- license: other"),
    "a terminal's escape": ("x\x1b[31m\x9b", r"x \[31m"),
}


@pytest.mark.parametrize("value", USUAL)
def test_a_usual_value_stays_as_it_is(value: str) -> None:
    assert inline(value) == person(value) == link(value) == code(value) == value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_is_text(name: str) -> None:
    value, escaped = HOSTILE[name]
    assert inline(value) == escaped
    assert person(value) == escaped


@pytest.mark.parametrize(
    "address",
    [
        "https://acme.example/coder_1?a=b&c=d#x",
        "http://acme.example/",
        "https://doi.org/10.1000/182(3)a",
        "Acme <code@acme.example>",
        "code@acme.example",
    ],
)
def test_an_address_that_the_recipe_gives_stays_as_it_is(address: str) -> None:
    assert link(address) == address


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("https://acme.example/](https://evil.example)", r"https\://acme.example/\](https\://evil.example)"),
        ("https://acme.example <b>", r"https\://acme.example \<b\>"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("[Acme](//x) <code@acme.example> <b>", r"\[Acme\](//x) <code@acme.example> \<b\>"),
        ("- <code@acme.example>", r"\- <code@acme.example>"),
    ],
)
def test_what_is_no_address_is_text(value: str, escaped: str) -> None:
    assert link(value) == escaped


def test_a_code_span_cannot_be_closed() -> None:
    assert code("a`<img src=x>`b") == "a'<img src=x>'b"
    assert code("a\n\n`b") == "a 'b"


EVIL = "MIT](x)\n---\n<img src=x onerror=alert(1)> ![](https://evil.example/a.png) `b` | c"


def test_a_card_of_a_hostile_record_holds_its_values_as_text(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, card={"title": "[T](x) <b>", "authors": ["<i>A</i>"], "contact": "<u>"})
    record = Run.load(run)
    assert record.machine is not None
    base = record.base.model_copy(update={"model": "a`<img src=y>`b", "license": EVIL})
    machine = record.machine.model_copy(update={"device": EVIL})
    record.model_copy(update={"base": base, "machine": machine}).save(run)
    build_package(run, tmp_path / "p", tmp_path / "base", console)
    card = ImageLayout(tmp_path / "p").read(Package.load(tmp_path / "p").model_card).decode()
    front, body = card.removeprefix("---\n").split("\n---\n", 1)
    assert [line.split(":")[0] for line in front.splitlines()] == [
        "license", "license_name", "license_link", "library_name", "pipeline_tag", "tags",
    ]  # fmt: skip
    without_code = re.sub(r"`[^`]*`", "", body.replace(r"\`", ""))
    assert not re.search(r"(?<!\\)<(img|b|i|u)\b", without_code)
    assert not re.search(r"(?<!\\)\]\(", without_code) and "https://evil" not in body
    assert r"# \[T\](x) \<b\>" in body and r"- \<i\>A\</i\>" in body
    assert "\n---\n" not in body


def test_a_hostile_card_renders_without_a_tag_or_a_link() -> None:
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    table = "| a | b |\n|---|---|\n"
    for value, _ in HOSTILE.values():
        for text in (f"# {inline(value)}", f"{inline(value)}", f"- {person(value)}", f"on {inline(value)}."):
            assert not re.search(r"<(?!/?(h1|p|ul|li)>)", markdown.render(text)), text
        escaped = code(value).replace("|", "\\|")
        rendered = markdown.render(f"{table}| `{escaped}` | {inline(value)} |\n")
        assert "href" not in rendered and "<script" not in rendered and "<img" not in rendered
