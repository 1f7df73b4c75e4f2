"""The tensors of an adapter by the weight they belong to, from the keys of its file.

PEFT's keys are ``base_model.model.<module>.lora_A.weight`` and the like. Other tools save the state of a
wrapped model, with keys such as ``module.base_model.model.<module>.lora_A.default.weight``. Such keys are
read if each belongs to one weight of the base model and no two to the same factor; all others are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starfreight.checkpoint import Checkpoint, StoredTensor
from starfreight.errors import InputError

OTHER_BASE = "use the base model the adapter was trained on"
_SAVE_AGAIN = (
    "save it again with PEFT's save_pretrained, called on the unwrapped model with this adapter alone"
)

_PEFT_PREFIX = "base_model.model."
_PREFIXES = frozenset(("base_model", "model", "transformer"))
"""Names of the modules around a model: PEFT's, and the decoder's in transformers."""
_WRAPPERS = frozenset(
    (
        "module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_fpw_module",
        "_checkpoint_wrapped_module",
    )
)  # fmt: skip
"""Modules that distributed training, compilation and gradient checkpointing wrap others in."""
_FACTORS = {
    "lora_A": "A",
    "lora_B": "B",
    "lora_embedding_A": "embedding_A",
    "lora_embedding_B": "embedding_B",
}


@dataclass(frozen=True)
class AdapterTensors:
    """An adapter's tensors.

    Attributes:
        factors: of low-rank updates: by module, then by ``A``, ``B``, ``embedding_A`` or ``embedding_B``.
        replaced: whole tensors, by the name of the weight that they replace.
    """

    factors: Mapping[str, Mapping[str, StoredTensor]]
    replaced: Mapping[str, StoredTensor]


@dataclass(frozen=True)
class _Key:
    """A key without the names that depend on the tool.

    Attributes:
        weight: the weight's name without prefixes.
        factor: see :class:`AdapterTensors`; ``None`` for a whole tensor.
        adapter: the adapter's name in a model with several, if the key has it.
        unused: true for the base's copy of a tensor that the adapter replaces.
    """

    weight: str
    factor: str | None
    adapter: str | None = None
    unused: bool = False


def sort_tensors(tensors: Mapping[str, StoredTensor], checkpoint: Checkpoint) -> AdapterTensors:
    """Assign the tensors of an adapter to the weights of a checkpoint.

    Raises:
        InputError: a key is in no known layout, two keys belong to the same factor, there is more than one
            adapter, or the checkpoint has no such weight.
    """
    names = {_without_prefixes(name.split(".")): name for name in checkpoint.tensors}
    factors: dict[str, dict[str, StoredTensor]] = {}
    replaced: dict[str, StoredTensor] = {}
    adapters: set[str] = set()
    for text, tensor in tensors.items():
        key = _parse(text)
        name = names.get(key.weight) if key is not None else None
        if key is None or name is None:
            raise _unknown(text, key, tensor, checkpoint)
        if key.unused:
            continue
        if key.adapter is not None:
            adapters.add(key.adapter)
        if len(adapters) > 1:
            raise InputError(
                f"The file holds several adapters: {' and '.join(sorted(adapters))}.",
                where=tensor.where,
                fix="save one of them: PEFT's save_pretrained(DIR, selected_adapters=[NAME])",
            )
        if key.factor is None:
            slot, here = replaced, name
        else:
            slot, here = factors.setdefault(name.removesuffix(".weight"), {}), key.factor
        if here in slot:
            raise InputError(
                f"Two tensors of the adapter belong to the same weight, {name}: the other key is "
                f"{slot[here].name}.",
                where=tensor.where,
                fix=_SAVE_AGAIN,
            )
        slot[here] = tensor
    return AdapterTensors(factors, replaced)


def _parse(text: str) -> _Key | None:
    """The key's parts, ``None`` for an unknown layout."""
    parts = [part for part in text.split(".") if part not in _WRAPPERS]
    for number, part in enumerate(parts):
        if part in _FACTORS:
            return _factor(parts[:number], _FACTORS[part], parts[number + 1 :])
    if any("lora" in part.lower() for part in parts):
        return None
    parts = [part for part in parts if part != "base_layer"]
    adapter, unused = None, False
    if parts[-2:-1] == ["original_module"]:
        parts, unused = [*parts[:-2], parts[-1]], True
    elif "modules_to_save" in parts:
        place = parts.index("modules_to_save")
        after = parts[place + 1 :]
        if len(after) not in (1, 2):
            return None
        if len(after) == 2:
            adapter = after.pop(0)
        parts = parts[:place] + after
    return _Key(_without_prefixes(parts), None, adapter, unused)


def _factor(module: list[str], factor: str, after: list[str]) -> _Key | None:
    # An embedding's factors are parameters themselves, a linear layer's are modules with a weight.
    named = after[:-1] if after[-1:] == ["weight"] else after
    if len(named) > 1 or named == ["bias"] or (named == after != [] and not factor.startswith("embedding")):
        return None
    return _Key(_without_prefixes([*module, "weight"]), factor, named[0] if named else None)


def _without_prefixes(parts: Iterable[str]) -> str:
    left = list(parts)
    while left and left[0] in _PREFIXES:
        left.pop(0)
    return ".".join(left)


def _unknown(text: str, key: _Key | None, tensor: StoredTensor, checkpoint: Checkpoint) -> InputError:
    """The error for a key that belongs to no weight: in another layout, or of another base model."""
    if key is not None and checkpoint.shape.tied and key.weight.startswith("lm_head."):
        return InputError(
            "The adapter changes the output layer, but the base model has none: it is tied to the embedding.",
            where=tensor.where,
            fix="remove lm_head from the target modules and modules_to_save, and train again",
        )
    ordinary = text.removeprefix(_PEFT_PREFIX)
    odd = text == ordinary or ordinary.startswith("base_model.") or _WRAPPERS & set(text.split("."))
    if key is None or key.adapter is not None or odd:
        return InputError(
            f"A key of the adapter is not in PEFT's layout: {text[:200]}.",
            where=str(tensor.file),
            fix=_SAVE_AGAIN,
        )
    if key.factor is None:
        what = f"The adapter holds {ordinary[:200]}"
    else:
        what = f"The adapter changes {ordinary.partition('.lora_')[0][:200]}"
    return InputError(f"{what}, which the base model does not have.", where=tensor.where, fix=OTHER_BASE)
