"""Withdrawal statements in bundles of anybody, and names in questions about training data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fuzzing import changed_json, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.packager.provenance.trace.repository_question import RepositoryQuestion, repository_name
from starfreight.packager.provenance.trace.table import QUESTIONS
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL, parse_withdrawal

STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "q8_0", "digest": {"sha256": "a" * 64}}],
    "predicateType": WITHDRAWAL,
    "predicate": {
        "package": {"name": "coder", "run": "coder-1", "created": "2026-01-02T03:04:05Z"},
        "reason": "x",
        "withdrawnOn": "2026-01-02T03:04:05Z",
        "supersededBy": None,
    },
}
NAMES = st.lists(
    st.one_of(
        st.sampled_from(("https://", "git@", ":", "/", ".git", "github.com", "[::1", "@", "swh:1:cnt:")),
        texts,
    ),
    max_size=8,
).map("".join)


@fuzz
@given(data=changed_json(STATEMENT))
def test_a_withdrawal(data: bytes) -> None:
    holds(lambda: parse_withdrawal(data))


@fuzz
@given(asked=NAMES, found=NAMES)
def test_names_of_repositories(asked: str, found: str) -> None:
    def compare() -> None:
        question, name = RepositoryQuestion.ask(asked), repository_name(found)
        if name is not None:
            question.name.match(name, "repository")

    holds(compare)


@pytest.mark.parametrize("kind", sorted(QUESTIONS))
@fuzz
@given(text=NAMES)
def test_a_question(kind: str, text: str) -> None:
    ask: Callable[[str], object] = QUESTIONS[kind]
    holds(lambda: ask(text))
