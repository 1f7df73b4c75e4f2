"""The files of a local base model, to push as an artifact."""

from __future__ import annotations

from pathlib import Path

from starfreight.base_artifact import is_model_file
from starfreight.base_documents import base_documents, packaged_name
from starfreight.checkpoint import checkpoint_files
from starfreight.checkpoint.files import inside
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.push.push_artifact import ArtifactFile
from starfreight.package import Descriptor

_MODEL_PACK = "application/vnd.cncf.model."


def base_files(folder: Path, console: Console) -> tuple[ArtifactFile, ...]:
    """The files that training and packaging read, and the model's documents, each as a layer.

    Raises:
        InputError: the directory is not a model, a link leads out of it, or a name cannot be pushed.
    """
    files = []
    documents = (inside(folder, each.path.name) for each in base_documents(folder))
    # What is pushed under this name is fetched again: a README of another name is not.
    fetched = (path for path in documents if is_model_file(path.name))
    paths = tuple(dict.fromkeys((*checkpoint_files(folder), *fetched)))
    total = sum(path.stat().st_size for path in paths)
    with console.progress("Reading the base model", total=total, unit="B") as advance:
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if not is_model_file(name):
                raise InputError(
                    f"The base model has a file that cannot be pushed: {name[:100]!r}.",
                    where=str(folder),
                    fix="move the model's files into one directory, without subdirectories",
                )
            layer = Descriptor(
                media_type=_media_type(name), digest=sha256_file(path), size=path.stat().st_size
            )
            files.append(ArtifactFile(path, name, layer))
            advance(layer.size)
    return tuple(files)


def _media_type(name: str) -> str:
    if name.endswith(".safetensors"):
        return f"{_MODEL_PACK}weight.v1.raw"
    is_text = name.upper().startswith(("LICENSE", "README")) or packaged_name(name) is not None
    return f"{_MODEL_PACK}{'doc' if is_text else 'weight.config'}.v1.raw"
