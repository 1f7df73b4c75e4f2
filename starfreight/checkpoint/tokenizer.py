"""``tokenizer.json`` of a base model, checked against the tokenizer llama.cpp will use.

llama.cpp knows StarCoder's tokenizer by name and applies its own copy of the rules. With different rules in
the file, the model would silently read prompts in another way than in training. One such file is common:
transformers 5 loads ``starcoder2`` with ``GPT2Tokenizer``, which drops ``Digits`` from the pre-tokenizer, and
``save_pretrained`` writes the loss to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.checkpoint.added_tokens import AddedToken, check_added_tokens, read_added_tokens
from starfreight.checkpoint.byte_alphabet import missing_byte
from starfreight.checkpoint.files import inside
from starfreight.checkpoint.layout import Architecture, ModelShape
from starfreight.errors import InputError
from starfreight.files import read_json

TOKENIZER_LIMIT = 64_000_000
"""Maximum size of tokenizer.json, in bytes. StarCoder2's has 2 MB."""

END_OF_TEXT = "<|endoftext|>"

FIM_TOKENS: dict[Architecture, dict[str, str]] = {
    "starcoder2": {
        "prefix": "<fim_prefix>", "suffix": "<fim_suffix>", "middle": "<fim_middle>", "pad": "<fim_pad>",
        "repository": "<repo_name>", "separator": "<file_sep>",
    },
    "starcoder": {
        "prefix": "<fim_prefix>", "suffix": "<fim_suffix>", "middle": "<fim_middle>", "pad": "<fim_pad>",
        "repository": "<reponame>",
    },
}  # fmt: skip
"""Names of the fill-in-the-middle and repository tokens. StarCoder 1 has no file separator."""

_MARKS = {END_OF_TEXT, "<filename>"}.union(*(tokens.values() for tokens in FIM_TOKENS.values()))
"""All tokens that training inserts by id; source code that spells one out is text."""

_RESTORE = (
    "restore the base model's own tokenizer.json, and set tokenizer_class to PreTrainedTokenizerFast in "
    "tokenizer_config.json so that transformers keeps it"
)
_FIX = "restore the base model's own tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """A byte-level BPE tokenizer.

    Attributes:
        tokens: by id; ``None`` for an unused id.
        merges: ``"left right"`` in order of rank.
        added: the added tokens in order of id.
        fim: ids of its fill-in-the-middle tokens, under the names of :data:`FIM_TOKENS`.
        end_of_text: id of ``<|endoftext|>``.
    """

    tokens: tuple[str | None, ...]
    merges: tuple[str, ...]
    added: tuple[AddedToken, ...]
    fim: Mapping[str, int]
    end_of_text: int


def check_tokenizer(folder: Path, architecture: Architecture) -> Tokenizer:
    """Read a model's tokenizer and check that llama.cpp will split text the same way.

    Raises:
        InputError: see :func:`read_tokenizer`; or an added token would be found in other places than in
            training, see :func:`.check_added_tokens`.
    """
    tokenizer = read_tokenizer(folder, architecture)
    ids = {text: number for number, text in enumerate(tokenizer.tokens) if text is not None}
    check_added_tokens(folder / "tokenizer.json", tokenizer.added, ids, tokenizer.merges, _MARKS)
    return tokenizer


def read_tokenizer(folder: Path, architecture: Architecture) -> Tokenizer:
    """Read a model's tokenizer and check its rules, but not its added tokens.

    Raises:
        InputError: the file is missing or invalid, is not byte-level BPE, splits digits or spaces in
            another way than StarCoder, or lacks ``<|endoftext|>``.
    """
    path = inside(folder, "tokenizer.json")
    data = read_json(path, TOKENIZER_LIMIT, "tokenizer")
    if not isinstance(data, dict):
        raise InputError("The tokenizer is not a JSON object.", where=str(path), fix=_FIX)
    _check_rules(path, data)
    vocabulary, merges = _check_model(path, data.get("model"))
    added = read_added_tokens(path, data.get("added_tokens"), vocabulary)
    tokens = _by_id(path, vocabulary, added)
    ids = {text: number for number, text in enumerate(tokens) if text is not None}
    if END_OF_TEXT not in ids:
        raise InputError(f"The tokenizer has no {END_OF_TEXT} token.", where=str(path), fix=_FIX)
    fim = {role: ids[text] for role, text in FIM_TOKENS[architecture].items() if text in ids}
    return Tokenizer(tokens, merges, added, fim, ids[END_OF_TEXT])


def check_vocabulary(tokenizer: Tokenizer, shape: ModelShape, folder: Path) -> None:
    """Check that every token has a row of the embedding.

    Raises:
        InputError: the tokenizer has more tokens.
    """
    if len(tokenizer.tokens) > shape.vocab_size:
        raise InputError(
            f"The tokenizer has {len(tokenizer.tokens)} tokens, the model's embedding only "
            f"{shape.vocab_size} rows.",
            where=str(folder),
            fix="restore the tokenizer that belongs to the model",
        )


def _check_rules(path: Path, data: Mapping[str, Any]) -> None:
    """Check everything around the BPE model: StarCoder has single digits, bytes, and nothing else."""
    steps = data.get("pre_tokenizer")
    listed = (
        steps.get("pretokenizers") if isinstance(steps, dict) and steps.get("type") == "Sequence" else [steps]
    )
    kinds = [step for step in listed if isinstance(step, dict)] if isinstance(listed, list) else []
    wanted = [("Digits", "individual_digits", True), ("ByteLevel", "add_prefix_space", False)]
    found = [(step.get("type"), key, step.get(key)) for step, (_, key, _) in zip(kinds, wanted, strict=False)]
    if len(kinds) != len(wanted) or found != wanted or kinds[1].get("use_regex", True) is not True:
        names = ", ".join(str(step.get("type"))[:40] for step in kinds) or "none"
        raise InputError(
            f"The tokenizer splits text by [{names}], not by [Digits (one by one), ByteLevel] as StarCoder "
            "models do; in llama.cpp the model would see other tokens for numbers and indentation than in "
            "training.",
            where=f"{path}: pre_tokenizer",
            fix=_RESTORE,
        )
    if data.get("normalizer") is not None:
        raise InputError(
            "The tokenizer changes text before splitting it; llama.cpp does not do so for StarCoder models.",
            where=f"{path}: normalizer",
            fix=_FIX,
        )
    for key in ("truncation", "padding"):
        if data.get(key) is not None:
            raise InputError(
                f"The tokenizer has settings for {key}, which would apply to the training data.",
                where=f"{path}: {key}",
                fix=f"set {key} to null",
            )
    if not _adds_nothing(data.get("post_processor")):
        raise InputError(
            "The tokenizer adds tokens around a text; llama.cpp does not do so for StarCoder models.",
            where=f"{path}: post_processor",
            fix=_FIX,
        )


def _adds_nothing(step: Any) -> bool:
    """True if a post-processor keeps the tokens unchanged, as transformers' empty template does."""
    if step is None:
        return True
    if not isinstance(step, dict):
        return False
    template = step.get("type") == "TemplateProcessing" and step.get("special_tokens") == {}
    return template or step.get("type") == "ByteLevel"


def _check_model(path: Path, model: Any) -> tuple[Mapping[str, int], tuple[str, ...]]:
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise InputError("The tokenizer is not a BPE tokenizer.", where=f"{path}: model.type", fix=_FIX)
    for key in (
        "dropout",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "byte_fallback",
        "ignore_merges",
    ):
        if model.get(key):
            raise InputError(
                f"The tokenizer uses {key}, unlike StarCoder's.",
                where=f"{path}: model.{key}",
                fix=_FIX,
            )
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not vocabulary or not isinstance(merges, list):
        raise InputError("The tokenizer has no vocabulary or no merges.", where=f"{path}: model", fix=_FIX)
    byte = missing_byte(vocabulary)
    if byte is not None:
        raise InputError(
            f"The vocabulary has no token for the byte 0x{byte:02X}: some texts could not be encoded.",
            where=f"{path}: model.vocab",
            fix=_FIX,
        )
    pairs = tuple(_merge(path, rank, entry, vocabulary) for rank, entry in enumerate(merges))
    if len(set(pairs)) < len(pairs):
        twice = next(pair for rank, pair in enumerate(pairs) if pair in pairs[:rank])
        raise InputError(
            f"The tokenizer lists a merge twice: {twice!r:.60}.", where=f"{path}: model.merges", fix=_FIX
        )
    return vocabulary, pairs


def _merge(path: Path, rank: int, entry: Any, vocabulary: Mapping[str, int]) -> str:
    """One merge, stored as ``"a b"`` or as ``["a", "b"]``."""
    pair = entry.split(" ") if isinstance(entry, str) else entry
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(part, str) and part and " " not in part for part in pair)
        or any(part not in vocabulary for part in (*pair, "".join(pair)))
    ):
        raise InputError(
            "A merge of the tokenizer is not a pair of tokens forming a token.",
            where=f"{path}: model.merges[{rank}]",
            fix=_FIX,
        )
    return f"{pair[0]} {pair[1]}"


def _by_id(
    path: Path, vocabulary: Mapping[str, int], added: tuple[AddedToken, ...]
) -> tuple[str | None, ...]:
    pairs = [*vocabulary.items(), *((token.text, token.id) for token in added)]
    most = 2 * len(pairs) + 1024
    if not all(type(number) is int and 0 <= number < most for _, number in pairs):
        raise InputError("A token of the tokenizer has no valid id.", where=f"{path}: model.vocab", fix=_FIX)
    tokens: list[str | None] = [None] * (1 + max(number for _, number in pairs))
    for text, number in pairs:
        if tokens[number] not in (None, text):
            raise InputError(
                f"Two tokens have the id {number}: {tokens[number]!r:.60} and {text!r:.60}.",
                where=str(path),
                fix=_FIX,
            )
        tokens[number] = text
    for token in added:
        if vocabulary.get(token.text, token.id) != token.id:
            raise InputError(f"The token {token.text!r:.60} has two ids.", where=str(path), fix=_FIX)
    return tuple(tokens)
