"""Cuts along the syntax tree: an expression, a statement or a body is cut out.

    cut = cut_node(text, "src/app.py", random.Random(7))

The parser is tree-sitter, which also parses incomplete and incorrect files. The versions of the grammars are
pinned, since another tree gives other cuts.
"""

from __future__ import annotations

import functools
import importlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starfreight.jobs.data.fim import Cut

if TYPE_CHECKING:
    from tree_sitter import Parser

# A grammar's module and function, by file extension.
_GRAMMARS = {
    ending: grammar
    for endings, grammar in (
        ("py pyi", ("tree_sitter_python", "language")),
        ("js jsx mjs cjs", ("tree_sitter_javascript", "language")),
        ("ts mts cts", ("tree_sitter_typescript", "language_typescript")),
        ("tsx", ("tree_sitter_typescript", "language_tsx")),
        ("java", ("tree_sitter_java", "language")),
        ("c h", ("tree_sitter_c", "language")),
        ("cc cpp cxx hh hpp hxx", ("tree_sitter_cpp", "language")),
        ("cs", ("tree_sitter_c_sharp", "language")),
        ("go", ("tree_sitter_go", "language")),
        ("rs", ("tree_sitter_rust", "language")),
        ("rb", ("tree_sitter_ruby", "language")),
        ("php", ("tree_sitter_php", "language_php")),
        ("sh bash", ("tree_sitter_bash", "language")),
    )
    for ending in endings.split()
}

# Grammars name their nodes differently, but with nearly the same endings.
_BODIES = frozenset(
    ("block", "suite", "compound_statement", "do_group", "declaration_list", "field_declaration_list")
)
_STATEMENTS = frozenset(("statement", "method", "if", "unless", "while", "case", "command", "pipeline"))
_EXPRESSIONS = frozenset(
    (
        "argument_list", "arguments", "array", "assignment", "attribute", "await", "binary", "call",
        "conditional", "dictionary", "formal_parameters", "hash", "lambda", "list", "object",
        "parameter_list", "parameters", "set", "string", "subscript", "template_string", "tuple", "unary",
    )
)  # fmt: skip
_BODY_ENDINGS = ("_body", "_block", "body_statement")
_STATEMENT_ENDINGS = ("_statement", "_declaration", "_definition", "_item", "_clause", "_directive")
_EXPRESSION_ENDINGS = (
    "_expression", "_operator", "_invocation", "_comprehension", "_literal", "_function", "_access",
)  # fmt: skip


def cut_node(text: str, path: str | None, rng: random.Random) -> Cut | None:
    """Cut out one node of the syntax tree.

    The kind (expression, statement, body) is drawn first, among those present, since a file has a hundred
    expressions per body. A node spanning the whole text is not cut.

    Args:
        text: a file, or whole lines of one.
        path: of the file; its extension gives the language.
        rng: the random number generator.

    Returns:
        ``None`` if the language has no grammar here or nothing can be cut.
    """
    parser = parser_of(path)
    if parser is None:
        return None
    encoded = text.encode()
    spans: dict[str, set[tuple[int, int]]] = {}
    whole = len(encoded.strip())
    for kind, start, end in _nodes(parser, encoded):
        if 2 <= end - start < whole and encoded[start:end].strip():
            spans.setdefault(kind, set()).add((start, end))
    if not spans:
        return None
    start, end = rng.choice(sorted(spans[rng.choice(sorted(spans))]))
    return Cut(encoded[:start].decode(), encoded[start:end].decode(), encoded[end:].decode())


def parser_of(path: str | None) -> Parser | None:
    """Return the parser of a file's language, by its extension; ``None`` without a grammar here."""
    return _parser(path.rsplit(".", 1)[-1].lower()) if path and "." in path else None


def _nodes(parser: Parser, encoded: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield the kind, start and end in bytes of every node to choose from, in the order of the text."""
    cursor = parser.parse(encoded).walk()
    while True:
        node = cursor.node
        if node is not None and node.is_named:
            kind = node_kind(node.type)
            if kind is not None:
                yield kind, node.start_byte, node.end_byte
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


@functools.cache
def node_kind(name: str) -> str | None:
    """Return the kind of a node (body, statement, expression) by its type; ``None`` if it is none of them."""
    if name in _BODIES or name.endswith(_BODY_ENDINGS):
        return "body"
    if name in _STATEMENTS or name.endswith(_STATEMENT_ENDINGS):
        return "statement"
    if name in _EXPRESSIONS or name.endswith(_EXPRESSION_ENDINGS):
        return "expression"
    return None


@functools.cache
def _parser(ending: str) -> Parser | None:
    grammar = _GRAMMARS.get(ending)
    if grammar is None:
        return None
    from tree_sitter import Language, Parser

    module, function = grammar
    return Parser(Language(getattr(importlib.import_module(module), function)()))
