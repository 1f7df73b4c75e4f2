"""The files of a model's directory, and the links that may lead out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from starfreight.checkpoint.streamed_base import StreamedBase, folder_of, streamed_sizes
from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.strict_json import unique_names

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"

_INDEX_LIMIT = 64_000_000
ADAPTER_CONFIG = "adapter_config.json"

_FIX = "download the model again, or restore the file from its source"
_OTHER_KINDS = (
    (ADAPTER_CONFIG, "an adapter"),
    ("oci-layout", "a package"),
    ("run.json", "a run"),
    ("*.gguf", "a GGUF file"),
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")
_KEPT = (
    "config.json", "generation_config.json", INDEX_NAME, SINGLE_NAME, "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "chat_template.jinja",
)  # fmt: skip
_LICENSE = re.compile(r"(licen[sc]e|notice|copying)([._-].*)?", re.IGNORECASE)
_PICKLE = re.compile(r".*\.(bin|pt|pth|pkl|ckpt)")
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def require_directory(folder: Path) -> None:
    """Check that a base model's directory exists.

    Raises:
        InputError: it does not, or is a file.
    """
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise InputError(f"The base model {what}.", where=str(folder), fix="check the path")


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """The files of a model: config, tokenizer, weights, index, licence. Sorted by name.

    Raises:
        InputError: the directory is missing, or a link leads out of it (see :func:`inside`).
    """
    shards = {path.name for path in weight_files(folder)[0]}
    names = shards | {name for name in _KEPT if (folder / name).exists()}
    names |= {path.name for path in license_paths(folder)}
    return tuple(inside(folder, name) for name in sorted(names))


def license_paths(folder: Path) -> tuple[Path, ...]:
    """The license files and notices of a model. Sorted by name.

    Raises:
        InputError: a link leads out of the directory (see :func:`inside`).
    """
    names = sorted(path.name for path in folder.iterdir() if _LICENSE.fullmatch(path.name) and path.is_file())
    return tuple(inside(folder, name) for name in names)


def deciding_files(base: Path | StreamedBase) -> tuple[str, ...]:
    """Names of the files that decide a model's completions: config, tokenizer, weights and their index.

    Raises:
        InputError: see :func:`weight_files`.
    """
    weights, index = weight_files(base)
    names = {"config.json", "tokenizer.json", *(path.name for path in weights)}
    return tuple(sorted(names if index is None else names | {INDEX_NAME}))


def inside(folder: Path, name: str) -> Path:
    """The path of a file of ``folder``, with links checked.

    A link may point to another place inside the directory. In the Hugging Face cache, where
    ``snapshots/<revision>/x`` links to ``../../blobs/<digest>``, it may also point to those blobs.

    Raises:
        InputError: the file does not exist, or leads out of the directory.
    """
    path = folder / name
    try:
        target, home = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        if name == "config.json":
            _refuse_other_kinds(folder)
        raise InputError(f"The model has no file {name}.", where=str(path), fix=_FIX) from error
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(target.is_relative_to(place) for place in allowed):
        raise InputError(
            "The file is a link that leads out of the model's directory.",
            where=str(path),
            fix="replace the link by the file itself",
        )
    if not target.is_file():
        raise InputError(f"The model's {name} is not a file.", where=str(path), fix=_FIX)
    return path


def _refuse_other_kinds(folder: Path) -> None:
    """Name the kind of a directory that is taken for a model: an adapter, a package, a run, GGUF files."""
    found = next((what for name, what in _OTHER_KINDS if next(folder.glob(name), None) is not None), None)
    if found is not None:
        raise InputError(
            f"The directory holds {found}, not a model to train.",
            where=str(folder),
            fix="name the base model's directory, in Hugging Face layout: config.json and safetensors files",
        )


def weight_files(base: Path | StreamedBase) -> tuple[tuple[Path, ...], dict[str, str] | None]:
    """The safetensors files of a model, and the index assigning tensors to files.

    Returns:
        The files sorted by name, and the index (tensor to file name), ``None`` for a single file. The path
        of a streamed file is only its name: the source and the file.

    Raises:
        InputError: the model has no weights, only pickled ones or two sets, an adapter lies beside them, or
            the index names a missing file.
    """
    folder = folder_of(base)
    require_directory(folder)
    _refuse_adapter(folder)
    if (folder / INDEX_NAME).exists():
        index = _read_index(inside(folder, INDEX_NAME))
        named = set(index.values())
        _refuse_second_weights(base, named, f"the shards of {INDEX_NAME}")
        return tuple(_weight_file(base, name) for name in sorted(named)), index
    if (folder / SINGLE_NAME).exists() or SINGLE_NAME in streamed_sizes(base):
        _refuse_second_weights(base, {SINGLE_NAME}, SINGLE_NAME)
        return (_weight_file(base, SINGLE_NAME),), None
    pickled = sorted(path.name for path in folder.iterdir() if _PICKLE.fullmatch(path.name))
    if pickled:
        raise InputError(
            f"The model has only pickled weights ({pickled[0]}), which can run arbitrary code on loading.",
            where=str(folder),
            fix="use the model's safetensors files; if it has none and you trust its source, convert it: "
            "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)",
        )
    raise InputError(
        f"The directory has neither {SINGLE_NAME} nor {INDEX_NAME}.",
        where=str(folder),
        fix="name the directory of a model in Hugging Face layout",
    )


def _weight_file(base: Path | StreamedBase, name: str) -> Path:
    if isinstance(base, StreamedBase) and name in base.weights.sizes:
        return Path(base.weights.where, name)
    return inside(folder_of(base), name)


def _refuse_second_weights(base: Path | StreamedBase, named: set[str], which: str) -> None:
    """Refuse a second set of weights: loaders differ in their choice, and the one meant is unknown."""
    folder = folder_of(base)
    others = sorted(
        name
        for name in {path.name for path in folder.iterdir()} | set(streamed_sizes(base))
        if (name == SINGLE_NAME or _SHARD.fullmatch(name)) and name not in named
    )
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(
            f"The directory holds two sets of weights: {which}, and {others[0]}{more}.",
            where=str(folder),
            fix="keep the set that is the model and remove the other: "
            f"either {SINGLE_NAME}, or {INDEX_NAME} with its shards",
        )


def _refuse_adapter(folder: Path) -> None:
    """Refuse an adapter beside the weights: transformers adds it to the model, and other loaders do not."""
    if (folder / ADAPTER_CONFIG).exists():
        raise InputError(
            f"The directory of the base model also holds an adapter ({ADAPTER_CONFIG}).",
            where=str(folder / ADAPTER_CONFIG),
            fix="merge the adapter into the model (merge_and_unload of peft, then save_pretrained), or move "
            "it to another directory",
        )


def _read_index(path: Path) -> dict[str, str]:
    raw = read_limited(path, _INDEX_LIMIT, "index of the weights")
    try:
        index: Any = json.loads(raw, object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The index of the weights is not valid JSON: {error}.", where=str(path), fix=_FIX
        ) from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError("The index of the weights has no weight_map.", where=str(path), fix=_FIX)
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise InputError(
                f"The index names {str(name)[:80]!r}, not the plain name of a safetensors file.",
                where=f"{path}: {tensor[:200]}",
                fix=_FIX,
            )
    return weight_map
