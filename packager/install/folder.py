"""Install as plain files for llama.cpp, LM Studio and ``ollama create``; the files of a hub repository, too.

names = write_folder([model], Path("acme-coder"), source, console)
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Advance, Console
from starfreight.errors import GateError, InputError
from starfreight.files import (
    disk_errors,
    refuse_other_contents,
    sha256_file,
    sweep_partials,
    write_bytes,
)
from starfreight.package import Descriptor
from starfreight.packager.install.interface import Installed, Model, Source
from starfreight.packager.install.modelfile import modelfile_text
from starfreight.packager.manifests.flat_names import document_names, license_names

MODELFILE = "Modelfile"
SIGNATURE_FILE = "model.sig"
"""An OpenSSF model signature over the other files; of a package that has one."""
RECORD = "record"
"""Directory of a package's record, which ``package export`` adds."""
README = "README.md"
PROVENANCE = "provenance.intoto.json"
BOM = "bom.cdx.json"
HUB_FILES = ("template", "system", "params")
"""Files that Ollama reads in a hub repository, by these names."""


@dataclass(frozen=True)
class Folder:
    """A directory of plain files."""

    folder: Path

    def check(self, name: str) -> None:
        """Refuse a path that is a file."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                "A file has this name.", where=str(self.folder), fix="choose another directory with --to"
            )

    def install(self, model: Model, source: Source, name: str, console: Console) -> Installed:
        """Write a model's files.

        Raises:
            InputError: the directory holds other files.
            GateError: the source has other bytes than announced.
            ServiceError: the disk is full or not writable.
        """
        written = write_folder([model], self.folder, source, console)
        gguf = gguf_name(model)
        return Installed(
            "files", str(self.folder), gguf, model.gguf.digest, written.size, written.present,
            f"llama-cli -m {shlex.quote(str(self.folder / gguf))}, or "
            f"ollama create {model.stem} -f {shlex.quote(str(self.folder / MODELFILE))}",
        )  # fmt: skip


@dataclass(frozen=True)
class WrittenFolder:
    """The files of a directory, in the order in which they were written."""

    names: tuple[str, ...]
    size: int
    present: int
    """Bytes of files that were there already."""


def gguf_name(model: Model) -> str:
    """Name of a model's GGUF file."""
    return f"{model.stem}-{model.quantization}.gguf"


def adapter_name(model: Model) -> str:
    """Name of a model's LoRA file."""
    return f"{model.stem.removesuffix('-base')}-F16-LoRA.gguf"


def write_folder(models: Sequence[Model], folder: Path, source: Source, console: Console) -> WrittenFolder:
    """Write variants of one model as plain files; files that are there and right are left alone.

    Args:
        models: the variants; the Modelfile is the first one's.
        folder: the directory; it may hold these files only.
        source: holds their blobs.
        console: shows progress.

    Raises:
        InputError: the directory holds other files, or a text cannot be in a Modelfile.
        GateError: the source has other bytes than announced, the provenance of another model, or a document
            under the name of another file.
        ServiceError: the disk is full or not writable.
    """
    files = folder_files(models)
    modelfile = modelfile_of(models, source).encode()
    _check_provenance(models, source)
    own = {*files, MODELFILE, SIGNATURE_FILE, RECORD}
    refuse_other_contents(folder, own, "this model", "choose an empty directory")
    size = sum(blob.size for blob in files.values())
    present = 0
    with disk_errors(folder), console.progress("Writing", total=size, unit="B") as advance:
        for name, blob in files.items():
            present += _write(folder / name, blob, source, advance)
        # Last: with it, the directory is complete.
        write_bytes(folder / MODELFILE, modelfile)
        sweep_partials(folder)
    return WrittenFolder((*files, MODELFILE), size + len(modelfile), present)


def _check_provenance(models: Sequence[Model], source: Source) -> None:
    """Refuse a statement of origin about other models, which a package's record may name."""
    from starfreight.packager.provenance.compare import is_about

    provenance = models[0].provenance
    if provenance is None:
        return
    if not is_about(source.read(provenance), [model.gguf.digest for model in models]):
        raise GateError(
            "The provenance statement is about other files than the model.",
            where=f"{source.where}, {provenance.digest}",
            fix="do not use it; publish the package again",
        )


def folder_files(models: Sequence[Model], *, for_hub: bool = False) -> dict[str, Descriptor]:
    """The files of a directory by name, without the Modelfile.

    Args:
        models: the variants.
        for_hub: with the files that Ollama reads in a hub repository.
    """
    return dict(_files(models, for_hub=for_hub))


def modelfile_of(models: Sequence[Model], source: Source) -> str:
    """The Modelfile of a directory: the first variant's."""
    first = models[0]
    return modelfile_text(first, gguf_name(first), adapter_name(first), source)


def _files(models: Sequence[Model], *, for_hub: bool) -> Iterator[tuple[str, Descriptor]]:
    first = models[0]
    for model in models:
        yield gguf_name(model), model.gguf
    if first.adapter is not None:
        yield adapter_name(first), first.adapter
    if first.readme is not None:
        yield README, first.readme
    yield from license_names(first.licenses)
    yield from _documents(first)
    if first.provenance is not None:
        yield PROVENANCE, first.provenance
    if first.bom is not None:
        yield BOM, first.bom
    if for_hub:
        for name, part in zip(HUB_FILES, (first.template, first.system, first.settings), strict=True):
            if part is not None:
                yield name, part


def _documents(model: Model) -> list[tuple[str, Descriptor]]:
    try:
        return document_names(model.documents)
    except ValueError as error:
        raise GateError(
            f"The package is not valid: {error}.",
            where=model.stem,
            fix="do not use it; get it again from its source",
        ) from error


def _write(path: Path, blob: Descriptor, source: Source, advance: Advance) -> int:
    """Write a file unless it is there; returns the bytes that were."""
    present = path.is_file() and not path.is_symlink() and path.stat().st_size == blob.size
    if present and sha256_file(path) == blob.digest:
        advance(blob.size)
        return blob.size
    source.fetch(blob, path, advance)
    return 0
