"""Parse Go's ``text/template``."""

from __future__ import annotations

from dataclasses import dataclass, field

from starfreight.ollama_template.go_template.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Constant,
    Dot,
    Field,
    Function,
    Leave,
    Node,
    Operand,
    Pipe,
    TemplateError,
    Text,
    Variable,
)
from starfreight.ollama_template.go_template.tokens import Piece, Word, number, pieces, unquoted

MAX_TEXT = 1 << 20
_DEEPEST = 100

_LITERALS = {"true": True, "false": False, "nil": None}
_BRANCHES = ("if", "with", "range")


@dataclass
class Parsed:
    """The nodes of a template, and those of the templates that it defines."""

    nodes: tuple[Node, ...] = ()
    defined: dict[str, tuple[Node, ...]] = field(default_factory=dict)


def parse_template(text: str, functions: frozenset[str]) -> Parsed:
    """Parse a template.

    Args:
        text: the template.
        functions: names of the functions that it may call.

    Raises:
        TemplateError: Go would refuse it; with the line.
    """
    if len(text) > MAX_TEXT:
        raise TemplateError(f"it is longer than {MAX_TEXT:,} characters")
    return _Parser(text, functions).parse()


class _Parser:
    """A position among the pieces of a template, and the variables in scope there."""

    def __init__(self, text: str, functions: frozenset[str]) -> None:
        self._pieces = list(pieces(text))
        self._next = 0
        self._functions = functions
        self._variables = ["$"]
        self._depth = 0
        self._loops = 0
        self._parsed = Parsed()

    def parse(self) -> Parsed:
        self._parsed.nodes, end = self._list(top=True)
        if end is not None:
            raise TemplateError(f"line {end.line}: {{{{ {end.words[0].text} }}}} without a beginning")
        return self._parsed

    def _list(self, *, top: bool = False) -> tuple[tuple[Node, ...], Piece | None]:
        """Nodes up to an ``else`` or ``end``, and that piece; ``None`` at the end of the template."""
        nodes: list[Node] = []
        while self._next < len(self._pieces):
            piece = self._pieces[self._next]
            self._next += 1
            if piece.text is not None:
                nodes.append(Text(piece.text))
                continue
            if not piece.words:
                raise TemplateError(f"line {piece.line}: an action is empty")
            first = piece.words[0]
            name = first.text if first.kind == "name" else ""
            if name in ("end", "else"):
                return tuple(nodes), piece
            if name == "define" and top:
                self._define(piece)
            elif name == "block":
                nodes.append(self._block(piece))
            elif name in _BRANCHES:
                nodes.append(self._branch(piece, piece.words))
            elif name in ("break", "continue"):
                if not self._loops or len(piece.words) > 1:
                    raise TemplateError(f"line {piece.line}: {{{{ {name} }}}} outside of a range")
                nodes.append(Leave(name))
            elif name == "template":
                nodes.append(self._call(piece))
            else:
                nodes.append(Action(self._pipe(piece, piece.words)))
        return tuple(nodes), None

    def _branch(self, piece: Piece, words: tuple[Word, ...]) -> Branch:
        kind = words[0].text
        self._enter(piece)
        scope = len(self._variables)
        pipe = self._pipe(piece, words[1:], most=2 if kind == "range" else 1)
        self._loops += kind == "range"
        then, end = self._list()
        self._loops -= kind == "range"
        otherwise: tuple[Node, ...] | None = None
        if end is not None and end.words[0].text == "else":
            rest = end.words[1:]
            if rest and rest[0].text == kind and kind in ("if", "with"):
                otherwise = (self._branch(end, rest),)
                end = None
            elif rest:
                raise TemplateError(f"line {end.line}: {rest[0].text!r} after else")
            else:
                otherwise, end = self._list()
                if end is not None and end.words[0].text == "else":
                    raise TemplateError(f"line {end.line}: a second else")
                self._needs_end(end, piece, kind)
        else:
            self._needs_end(end, piece, kind)
        del self._variables[scope:]
        self._depth -= 1
        return Branch(kind, pipe, then, otherwise)

    def _define(self, piece: Piece) -> None:
        if len(piece.words) != 2 or piece.words[1].kind not in ("string", "raw"):
            raise TemplateError(f"line {piece.line}: a define without a name in quotes")
        self._body(piece, "define")

    def _block(self, piece: Piece) -> Call:
        call = self._call(piece)
        if call.pipe is None:
            raise TemplateError(f"line {piece.line}: a block without a value")
        self._body(piece, "block")
        return call

    def _body(self, piece: Piece, kind: str) -> None:
        self._enter(piece)
        variables, loops = self._variables, self._loops
        self._variables, self._loops = ["$"], 0
        nodes, end = self._list()
        self._needs_end(end, piece, kind)
        self._variables, self._loops = variables, loops
        self._depth -= 1
        self._parsed.defined[str(unquoted(piece.words[1]))] = nodes

    def _call(self, piece: Piece) -> Call:
        if len(piece.words) < 2 or piece.words[1].kind not in ("string", "raw"):
            raise TemplateError(f"line {piece.line}: a {piece.words[0].text} without a name in quotes")
        rest = piece.words[2:]
        return Call(str(unquoted(piece.words[1])), self._pipe(piece, rest) if rest else None)

    def _enter(self, piece: Piece) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError(f"line {piece.line}: it is nested too deeply")

    @staticmethod
    def _needs_end(end: Piece | None, piece: Piece, kind: str) -> None:
        if end is None or end.words[0].text != "end" or len(end.words) > 1:
            raise TemplateError(f"line {piece.line}: {{{{ {kind} }}}} without {{{{ end }}}}")

    def _pipe(self, piece: Piece, words: tuple[Word, ...], most: int = 1) -> Pipe:
        """A pipeline with its declarations, from all the words given."""
        declared, assigns, rest = self._declared(piece, words, most)
        pipe, used = self._commands(piece, rest, 0)
        if used != len(rest):
            raise TemplateError(f"line {piece.line}: unexpected {rest[used].text!r}")
        self._variables += [] if assigns else declared
        return Pipe(pipe.commands, tuple(declared), assigns, piece.line)

    def _declared(
        self, piece: Piece, words: tuple[Word, ...], most: int
    ) -> tuple[list[str], bool, tuple[Word, ...]]:
        names: list[str] = []
        for start in range(0, 2 * most, 2):
            head = [word.text for word in words[start : start + 2]]
            if len(head) < 2 or words[start].kind != "variable" or "." in head[0] or head[0] == "$":
                break
            names.append(head[0])
            if head[1] in (":=", "="):
                assigns = head[1] == "="
                if assigns and any(name not in self._variables for name in names):
                    raise TemplateError(f"line {piece.line}: undefined variable {names[0]}")
                return names, assigns, words[start + 2 :]
            if head[1] != ",":
                break
        return [], False, words

    def _commands(self, piece: Piece, words: tuple[Word, ...], start: int) -> tuple[Pipe, int]:
        """Commands from a position, up to a closing bracket or the end."""
        commands: list[tuple[Operand, ...]] = []
        operands: list[Operand] = []
        position = start
        while True:
            word = words[position] if position < len(words) else None
            if word is None or word.text in ("|", ")"):
                if not operands:
                    raise TemplateError(f"line {piece.line}: a value is missing")
                callable_first = isinstance(operands[0], (Function, Field, Variable, Chain))
                if (commands or len(operands) > 1) and not callable_first:
                    raise TemplateError(f"line {piece.line}: a value where a function is expected")
                commands.append(tuple(operands))
                operands = []
                if word is None or word.text == ")":
                    return Pipe(tuple(commands), line=piece.line), position
                position += 1
                continue
            if operands and not word.spaced and words[position - 1].text != "(":
                raise TemplateError(f"line {piece.line}: unexpected {word.text!r}")
            operand, position = self._operand(piece, words, position)
            operands.append(operand)

    def _operand(self, piece: Piece, words: tuple[Word, ...], position: int) -> tuple[Operand, int]:
        word = words[position]
        if word.text == "(" and word.kind == "mark":
            self._enter(piece)
            pipe, end = self._commands(piece, words, position + 1)
            self._depth -= 1
            if end == len(words):
                raise TemplateError(f"line {piece.line}: a bracket is not closed")
            after = words[end + 1] if end + 1 < len(words) else None
            if after is not None and after.kind == "field" and not after.spaced:
                return Chain(pipe, tuple(after.text[1:].split("."))), end + 2
            return pipe, end + 1
        return self._simple(piece, word), position + 1

    def _simple(self, piece: Piece, word: Word) -> Operand:
        try:
            if word.kind in ("string", "raw", "character"):
                return Constant(unquoted(word))
            if word.kind == "number":
                return Constant(number(word))
        except TemplateError as error:
            raise TemplateError(f"line {piece.line}: {error}") from error
        if word.kind == "field":
            return Field(tuple(word.text[1:].split(".")))
        if word.kind == "variable":
            name, *names = word.text.split(".")
            if name not in self._variables:
                raise TemplateError(f"line {piece.line}: undefined variable {name}")
            return Variable(name, tuple(names))
        if word.text == ".":
            return Dot()
        if word.text in _LITERALS:
            return Constant(_LITERALS[word.text])
        if word.kind != "name" or word.text not in self._functions:
            what = "function" if word.kind == "name" else "word"
            raise TemplateError(f"line {piece.line}: the {what} {word.text[:40]!r} does not exist")
        return Function(word.text)
