"""The prompts of a packaged model, as token ids: a place to fill in, a conversation, a text to continue.

prompts = ModelPrompts(find_model(Path("packages/acme-coder")), encode)
prompts.fill("def area(r):\n    return ", "\n", room=512).ids
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from starfreight.completion.fill_prompt import FillPrompt, Marks, fill_prompt, shortened
from starfreight.completion.model_source import ModelSource
from starfreight.completion.repository_files import Repository
from starfreight.errors import InputError, RecipeError
from starfreight.gguf.keys import Scalar, read_scalars
from starfreight.ollama_template.go_template import TemplateError
from starfreight.ollama_template.template import Message, OllamaTemplate

SAMPLING = (
    "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty",
    "frequency_penalty",
)  # fmt: skip
"""Settings that llama.cpp's server has under the same names as Ollama."""

_FILE_MARKS = {
    "starcoder2": ("<repo_name>", "<file_sep>", True),
    "starcoder": ("<reponame>", "<filename>", False),
}
_FIM_KEYS = tuple(f"tokenizer.ggml.fim_{name}_token_id" for name in ("pre", "suf", "mid"))
_FIRST, _SECOND = "\x01", "\x02"
"""Stand for the texts in a rendered template."""

_UNSURE = 8


class Encode(Protocol):
    """Encodes a text; ``special`` also encodes the special tokens in it."""

    def __call__(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of the tokens."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A prompt.

    Attributes:
        ids: its token ids.
        shortened: true if the texts did not fit.
    """

    ids: tuple[int, ...]
    shortened: bool = False


def server_encoder(post: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]) -> Encode:
    """The encoder of a llama.cpp server, given a function that posts to a path of it."""

    def encode(text: str, *, special: bool = False) -> list[int]:
        whole = text.encode("utf-8", "replace").decode()  # JSON cannot hold half of a character.
        body = {"content": whole, "parse_special": special, "add_special": False}
        return [int(each) for each in post("/tokenize", body)["tokens"]]

    return encode


class ModelPrompts:
    """Makes the prompts of a model.

    Args:
        source: the model.
        encode: its tokenizer.
        keys: of its file, if they have been read.

    Raises:
        InputError: the file is not a GGUF file.
        RecipeError: Ollama would refuse the template.
    """

    def __init__(self, source: ModelSource, encode: Encode, keys: Mapping[str, Scalar] | None = None) -> None:
        self._source, self._encode = source, encode
        keys = read_scalars(source.gguf) if keys is None else keys
        self._architecture = str(keys.get("general.architecture"))
        self._fim = [keys.get(key) for key in _FIM_KEYS]
        self._begin, self._end = _begin_of(keys), keys.get("tokenizer.ggml.eos_token_id")
        self.template = _template_of(source)
        """The packaged template; ``None`` without one."""

    @cached_property
    def fill_form(self) -> str | None:
        """``template`` or ``tokens``, by which places are filled in; ``None`` if the model cannot do it."""
        if self._fill_frame is not None:
            return "template"
        return "tokens" if all(type(number) is int for number in self._fim) else None

    @cached_property
    def instructs(self) -> bool:
        """True if the template puts something around an instruction."""
        if self.template is None:
            return False
        try:
            return self.render([("user", _FIRST)]) != _FIRST
        except RecipeError:
            return False

    def render(self, messages: Sequence[Message]) -> str:
        """A conversation as a text, with the packaged system prompt.

        Raises:
            RecipeError: the template cannot be rendered.
        """
        if self.template is None:
            return messages[-1][1]
        system: list[Message] = [("system", self._source.system)] if self._source.system else []
        try:
            return self.template.chat([*system, *messages])
        except TemplateError as error:
            raise RecipeError(
                f"The package's template cannot be rendered: {error}.",
                where=self._source.name,
                fix="correct package.template in its recipe and build it again",
            ) from error

    def marks(self) -> Marks:
        """The special tokens of places.

        Raises:
            InputError: the model has no fill-in-the-middle tokens.
        """
        if not all(type(number) is int for number in self._fim):
            raise InputError(
                "The model has no fill-in-the-middle tokens.",
                where=self._source.name,
                fix="give it a text with --prompt, or use a StarCoder model",
            )
        return self._marks

    @cached_property
    def _marks(self) -> Marks:
        prefix, suffix, middle = (int(number) for number in self._fim if number is not None)
        names = _FILE_MARKS.get(self._architecture)
        if names is None:
            return Marks(prefix, suffix, middle)
        ids = [self._encode(name, special=True) for name in names[:2]]
        repository, file = (each[0] if len(each) == 1 else None for each in ids)
        return Marks(prefix, suffix, middle, repository, file, names[2])

    def fill(self, prefix: str, suffix: str, room: int, repository: Repository | None = None) -> Prompt:
        """The prompt of a place, truncated as in training.

        The template makes it, with the texts encoded as texts; the tokens in the file do where there are
        files of the repository, which no template has room for.

        Args:
            prefix: the text before the place.
            suffix: the text after it.
            room: most tokens, at least 32.
            repository: other files.

        Raises:
            InputError: the model cannot fill in.
        """
        if repository is None and self._fill_frame is not None:
            start, between, end = self._fill_frame
            before, after = self._encode(prefix), self._encode(suffix)
            fixed = len(self._begin) + len(start) + len(between) + len(end)
            kept, followed = shortened(before, after, max(0, room - fixed))
            ids = (*self._begun(start), *kept, *between, *followed, *end)
            return Prompt(ids, len(kept) + len(followed) < len(before) + len(after))
        marks = self.marks()
        made: FillPrompt = fill_prompt(
            prefix, suffix, marks, self._encode, room - len(self._begin), repository
        )
        # A path before the text may change its first tokens.
        tail = (*self._encode(prefix)[_UNSURE:], marks.suffix, *self._encode(suffix), marks.middle)
        return Prompt(tuple(self._begun(list(made.ids))), made.ids[-len(tail) :] != tail)

    def instruct(self, instruction: str, room: int) -> Prompt:
        """The prompt of an instruction; the beginning of one that is too long is left out."""
        whole = self._encode(self.render([("user", instruction)]), special=True)
        if len(self._begin) + len(whole) <= room:
            return Prompt(tuple(self._begun(whole)))
        around = self.render([("user", _FIRST)]).split(_FIRST)
        if len(around) != 2:
            return Prompt(tuple(whole[-room:]), True)
        start, end = (self._encode(text, special=True) for text in around)
        left = max(1, room - len(self._begin) - len(start) - len(end))
        return Prompt((*self._begun(start), *self._encode(instruction)[-left:], *end), True)

    def resume(self, text: str, room: int) -> Prompt:
        """The prompt to continue a text; the beginning of one that is too long is left out."""
        ids = self._encode(text)
        kept = ids[-max(1, room - len(self._begin)) :]
        begun = tuple(self._begun(kept))
        if not begun and type(self._end) is int:
            begun = (self._end,)  # In training, a text follows the end of another.
        return Prompt(begun, len(kept) < len(ids))

    def _begun(self, ids: list[int]) -> list[int]:
        return ids if ids[: len(self._begin)] == self._begin else [*self._begin, *ids]

    @cached_property
    def _fill_frame(self) -> tuple[list[int], list[int], list[int]] | None:
        """The template before, between and after the two texts; ``None`` if it does not insert them once."""
        if self.template is None or not self.template.inserts:
            return None
        try:
            text = self.template.insert(_FIRST, _SECOND)
        except TemplateError:
            return None
        start, found, rest = text.partition(_FIRST)
        between, again, end = rest.partition(_SECOND)
        if not found or not again or _SECOND in start or _FIRST in between + end or _SECOND in end:
            return None
        first, second, third = (self._encode(each, special=True) for each in (start, between, end))
        return first, second, third


def _begin_of(keys: Mapping[str, Scalar]) -> list[int]:
    """The token that llama.cpp and Ollama put before every prompt; empty without one."""
    begin, adds = keys.get("tokenizer.ggml.bos_token_id"), keys.get("tokenizer.ggml.add_bos_token")
    if adds is None:  # As llama.cpp decides without the key.
        adds = keys.get("tokenizer.ggml.model") == "llama"
    return [begin] if adds and type(begin) is int else []


def _template_of(source: ModelSource) -> OllamaTemplate | None:
    if source.template is None:
        return None
    try:
        return OllamaTemplate(source.template)
    except TemplateError as error:
        raise RecipeError(
            f"Ollama would refuse the package's template: {error}.",
            where=source.name,
            fix="correct package.template in its recipe and build it again",
        ) from error
