"""The header of a GGUF file: the model's identity and origin, and its tokenizer."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gguf import (
    GGML_QUANT_VERSION,
    GGMLQuantizationType,
    GGUFType,
    GGUFWriter,
    Keys,
    TokenType,
    size_label,
)
from gguf.gguf_writer import WriterState

from starfreight.checkpoint import ModelShape, Tokenizer
from starfreight.packager.press.architectures import TensorPlan, architecture_plan
from starfreight.packager.press.importance import Importance
from starfreight.packager.press.tensor_types import tensor_bytes
from starfreight.quantization import FILE_TYPES, Quantization

ALIGNMENT = 32
"""Every tensor of a GGUF file starts at a multiple of this many bytes."""

MERGE_BASE_KEY = "starfreight.merge_base"
"""Starfreight's own key: the weights the adapter was merged into, ``original`` or ``nf4_roundtrip``."""

_FIM_KEYS = {
    "prefix": Keys.Tokenizer.FIM_PRE_ID,
    "suffix": Keys.Tokenizer.FIM_SUF_ID,
    "middle": Keys.Tokenizer.FIM_MID_ID,
    "pad": Keys.Tokenizer.FIM_PAD_ID,
    "repository": Keys.Tokenizer.FIM_REP_ID,
    "separator": Keys.Tokenizer.FIM_SEP_ID,
}

_SPECIAL_TEXTS = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
_SPECIAL_ENDS = (("<|", "|>"), ("<\uff5c", "\uff5c>"), ("<unused", ">"))


@dataclass(frozen=True)
class ModelOrigin:
    """Something a model was made from: its base model, or a data set.

    Attributes:
        name: display name.
        organization: its owner.
        version: its revision or digest.
        url: page describing it.
        repo_url: location of its files.
    """

    name: str
    organization: str | None = None
    version: str | None = None
    url: str | None = None
    repo_url: str | None = None


@dataclass(frozen=True)
class ModelIdentity:
    """A model's description inside its file (``general.*``).

    Attributes:
        name: display name; empty to leave it out, as for a shared base.
        version: of the model.
        description: a sentence.
        organization: its owner.
        license: an SPDX expression.
        license_name: the licence's own name.
        license_link: location of its text.
        source_url: page of the model it was converted from.
        source_doi: its DOI.
        source_repo_url: repository of the project.
        base_models: models it was made from.
        datasets: data sets it was trained on.
        tags: search terms.
        languages: ISO codes of natural languages.
        chat_template: a Jinja template of a conversation.
        merge_base: the weights its adapter was merged into; ``None`` without an adapter.
    """

    name: str
    version: str | None = None
    description: str | None = None
    organization: str | None = None
    license: str | None = None
    license_name: str | None = None
    license_link: str | None = None
    source_url: str | None = None
    source_doi: str | None = None
    source_repo_url: str | None = None
    base_models: tuple[ModelOrigin, ...] = ()
    datasets: tuple[ModelOrigin, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    chat_template: str | None = None
    merge_base: str | None = None


def header_bytes(
    shape: ModelShape,
    tokenizer: Tokenizer,
    identity: ModelIdentity,
    quantization: Quantization,
    tensors: Sequence[tuple[TensorPlan, GGMLQuantizationType]],
    importance: Importance | None = None,
) -> bytes:
    """Everything before the weights: magic, keys, tensor table, padding.

    The same arguments give the same bytes. The last keys are in the position chosen by llama.cpp's quantiser.
    """
    plan = architecture_plan(shape.architecture)
    writer = GGUFWriter(None, shape.architecture)
    write_identity(writer, identity, GGUFType.MODEL, sum(tensor.elements for tensor, _ in tensors))
    plan.write_metadata(writer, shape)
    _write_tokenizer(writer, tokenizer, plan.pre_tokenizer, shape.vocab_size)
    if identity.chat_template:
        writer.add_chat_template(identity.chat_template)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_file_type(FILE_TYPES[quantization])
    if importance is not None:
        importance.write_keys(writer)
    return finished_header(writer, [(t.name, t.shape, kind, tensor_bytes(t, kind)) for t, kind in tensors])


def finished_header(
    writer: GGUFWriter, tensors: Iterable[tuple[str, tuple[int, ...], GGMLQuantizationType, int]]
) -> bytes:
    """The bytes of a writer's keys and of a tensor table, padded to the start of the weights.

    Args:
        writer: with its keys added, and no tensors.
        tensors: name, shape, type and bytes of each, in file order.
    """
    import numpy as np

    for name, shape, kind, size in tensors:
        writer.add_tensor_info(name, shape, np.dtype(np.float32), size, raw_dtype=kind)
    # GGUFWriter accepts only files; a buffer in their place allows hashing the header.
    buffer = io.BytesIO()
    writer.fout = cast(Any, [buffer])
    writer.state = WriterState.EMPTY
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    buffer.write(bytes(-buffer.tell() % ALIGNMENT))
    return buffer.getvalue()


def write_identity(writer: GGUFWriter, identity: ModelIdentity, kind: str, parameters: int) -> None:
    """Add the keys describing a file and its origin.

    Args:
        writer: receives them.
        identity: the description.
        kind: ``model`` or ``adapter``.
        parameters: number of weights in the file.
    """
    texts: Mapping[str, str | None] = {
        Keys.General.TYPE: kind,
        Keys.General.NAME: identity.name,
        Keys.General.VERSION: identity.version,
        Keys.General.DESCRIPTION: identity.description,
        Keys.General.ORGANIZATION: identity.organization,
        Keys.General.SIZE_LABEL: size_label(parameters, parameters, 0, 0),
        Keys.General.LICENSE: identity.license,
        Keys.General.LICENSE_NAME: identity.license_name,
        Keys.General.LICENSE_LINK: identity.license_link,
        Keys.General.SOURCE_URL: identity.source_url,
        Keys.General.SOURCE_DOI: identity.source_doi,
        Keys.General.SOURCE_REPO_URL: identity.source_repo_url,
        MERGE_BASE_KEY: identity.merge_base,
    }
    for key, text in texts.items():
        writer.add_string(key, text or "")
    for what, origins in (("base_model", identity.base_models), ("dataset", identity.datasets)):
        if origins:
            writer.add_uint32(f"general.{what}.count", len(origins))
        for number, origin in enumerate(origins):
            for field in ("name", "version", "organization", "url", "repo_url"):
                writer.add_string(f"general.{what}.{number}.{field}", getattr(origin, field) or "")
    writer.add_array(Keys.General.TAGS, identity.tags)
    writer.add_array(Keys.General.LANGUAGES, identity.languages)


def _write_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer, pre_tokenizer: str, vocab_size: int) -> None:
    """The vocabulary, padded to the rows of the embedding with unused tokens."""
    added = {token.id: token for token in tokenizer.added}
    texts, kinds = [], []
    for number in range(vocab_size):
        text = tokenizer.tokens[number] if number < len(tokenizer.tokens) else None
        if text is None:
            kind, text = TokenType.UNUSED, f"[PAD{number}]"
        elif number not in added:
            kind = TokenType.NORMAL
        elif added[number].special or _looks_special(text):
            kind = TokenType.CONTROL
        else:
            kind = TokenType.USER_DEFINED
        texts.append(text)
        kinds.append(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges(tokenizer.merges)
    writer.add_bos_token_id(tokenizer.end_of_text)
    writer.add_eos_token_id(tokenizer.end_of_text)
    writer.add_unk_token_id(tokenizer.end_of_text)
    writer.add_add_bos_token(False)
    for role, key in _FIM_KEYS.items():
        if role in tokenizer.fim:
            writer.add_uint32(key, tokenizer.fim[role])


def _looks_special(text: str) -> bool:
    """True if llama.cpp's converter always treats the token as a control token."""
    enclosed = any(text.startswith(first) and text.endswith(last) for first, last in _SPECIAL_ENDS)
    return enclosed or text in _SPECIAL_TEXTS
