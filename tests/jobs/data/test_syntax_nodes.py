"""Cuts along the syntax tree."""

from __future__ import annotations

import ast
import random
import textwrap

import pytest

from starfreight.jobs.data.syntax_nodes import cut_node

PYTHON = '''\
import os


def total(basket, discount=0.5):
    """Adds up."""
    result = 0
    for name, count in sorted(basket.items()):
        result += PRICES[name] * (count + 1)
    return result * (1 - discount)
'''
OTHERS = {
    "a.js": "function f(a) {\n  if (a > 1) { return g(a + 1); }\n  return { a: [1, 2] };\n}\n",
    "a.ts": "export function f(a: A): number { return a.x + 1; }\n",
    "a.tsx": 'export const F = (p: P) => <div className="a">{p.x + 1}</div>;\n',
    "A.java": "class A { int f(int x) { if (x > 1) { return g(x + 1); } return 2; } }\n",
    "a.c": "int f(int x) { if (x > 1) { return g(x + 1); } return 2; }\n",
    "a.cpp": "namespace a { class A { int f(int x) { return x + 1; } }; }\n",
    "a.cs": "class A { int F(int x) { return G(x + 1); } }\n",
    "a.go": "package a\n\nfunc f(x int) int {\n\ty := g(x + 1)\n\treturn y\n}\n",
    "a.rs": "fn f(x: i32) -> i32 { let y = g(x + 1); match y { 1 => 2, _ => 3 } }\n",
    "a.rb": "def f(x)\n  if x > 1\n    g(x + 1)\n  end\n  [1, 2].map { |y| y * 2 }\nend\n",
    "a.php": "<?php function f($x) { if ($x > 1) { return g($x + 1); } return [1, 2]; }\n",
    "a.sh": 'f() { if [ -z "$1" ]; then echo "a $(b c)"; fi; }\nfor x in a b; do ls "$x" | wc -l; done\n',
}


def test_what_is_taken_out_of_python_is_an_expression_a_statement_or_a_body() -> None:
    nodes = list(ast.walk(ast.parse(PYTHON)))
    sources = {
        ast.get_source_segment(PYTHON, node) for node in nodes if isinstance(node, (ast.expr, ast.stmt))
    }
    cuts = [cut_node(PYTHON, "a.py", random.Random(seed)) for seed in range(200)]
    assert all(cut is not None and cut.prefix + cut.middle + cut.suffix == PYTHON for cut in cuts)
    middles = {cut.middle for cut in cuts if cut is not None}
    assert len(middles & sources) > 12
    for middle in (
        middles - sources
    ):  # Lists of parameters and bodies, which Python's own tree has no node for.
        assert middle[0] + middle[-1] == "()" or ast.parse(textwrap.dedent("    " + middle))


@pytest.mark.parametrize("path", OTHERS)
def test_every_language_has_small_and_large_nodes_to_cut(path: str) -> None:
    text = OTHERS[path]
    cuts = [cut_node(text, path, random.Random(seed)) for seed in range(200)]
    middles = {cut.middle for cut in cuts if cut is not None}
    assert all(cut is not None and cut.prefix + cut.middle + cut.suffix == text for cut in cuts)
    assert len(middles) >= 6
    assert min(map(len, middles)) <= 7
    assert max(map(len, middles)) > len(text) / 3
    assert text.strip() not in middles


def test_a_node_beside_wide_characters_is_cut_where_it_is() -> None:
    text = "ä = '日本語'\nb = f(ä, 'ö')\n"
    middles = set()
    for seed in range(100):
        cut = cut_node(text, "a.py", random.Random(seed))
        assert cut is not None
        assert cut.prefix + cut.middle + cut.suffix == text
        middles.add(cut.middle)
    assert {"'日本語'", "(ä, 'ö')"} <= middles


@pytest.mark.parametrize(
    ("text", "path"),
    [(PYTHON, "a.cobol"), (PYTHON, None), (PYTHON, "Makefile"), ("", "a.py"), ("x", "a.py"), ("#", "a.py")],
)
def test_a_text_of_an_unknown_grammar_or_without_a_node_is_not_cut(text: str, path: str | None) -> None:
    assert cut_node(text, path, random.Random(0)) is None


def test_a_file_with_mistakes_and_a_piece_of_one_are_cut_all_the_same() -> None:
    assert cut_node("def f(:\n    return g(1 + 2)\n", "a.py", random.Random(0)) is not None
    assert cut_node(PYTHON[60:], "a.py", random.Random(0)) is not None
