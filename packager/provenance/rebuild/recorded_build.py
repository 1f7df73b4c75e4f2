"""The build of a package as its statement records it: enough to repeat it from base and adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.base_model import known_license
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.build.identity import SHARED_BASE, recorded_identity
from starfreight.packager.file_names import lora_name, model_stem
from starfreight.packager.model_license import recorded_terms
from starfreight.packager.provenance.compare import is_about
from starfreight.packager.provenance.recorded import MAX_STATEMENT_BYTES, Provenance, read_provenance
from starfreight.quantization import Quantization
from starfreight.recipe.package import MergeBase

if TYPE_CHECKING:
    from starfreight.packager.press import ModelIdentity
    from starfreight.packager.press.press import LoadDtype
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class RecordedFile:
    """A GGUF file of the package.

    Attributes:
        name: as in the statement.
        file: its digest and size.
        quantization: of a model; ``None`` for an adapter.
    """

    name: str
    file: Descriptor
    quantization: Quantization | None


@dataclass(frozen=True)
class RecordedBuild:
    """A package's own account of its build.

    Attributes:
        package: the record.
        provenance: the statement.
        files: the models in the package's order, then the adapter if it is not merged.
        identity: metadata of the tuned model.
        merge_base: weights that the adapter was merged into.
        load_dtype: dtype in which training loaded the base.
    """

    package: Package
    provenance: Provenance
    files: tuple[RecordedFile, ...]
    identity: ModelIdentity
    merge_base: MergeBase
    load_dtype: LoadDtype

    @property
    def merged(self) -> bool:
        """True if the adapter is merged into the models."""
        return self.package.adapter is None

    @property
    def model_identity(self) -> ModelIdentity:
        """Metadata of the models. The base beside an adapter has none of the tuned model's."""
        return self.identity if self.merged else SHARED_BASE

    @property
    def stem(self) -> str:
        """Start of the models' file names."""
        return model_stem(self.package.name, with_adapter=not self.merged)


def recorded_machine(provenance: Provenance) -> Mapping[str, Any]:
    """The machine of the training; empty if the statement does not name it."""
    return provenance.machine if isinstance(provenance.machine, Mapping) else {}


def read_recorded_build(opened: Opened) -> RecordedBuild:
    """Read the build of a package.

    Raises:
        GateError: the statement is damaged, not one of Starfreight's, or about other files.
    """
    package = opened.package
    provenance = read_provenance(opened.folder, package)
    files = [
        RecordedFile(
            f"{model_stem(package.name, with_adapter=package.adapter is not None)}-{each.quantization}.gguf",
            each.gguf,
            each.quantization,
        )
        for each in package.variants
    ]
    if package.adapter is not None:
        files.append(RecordedFile(lora_name(package.name), package.adapter, None))
    statement = ImageLayout(opened.folder).read(package.provenance, MAX_STATEMENT_BYTES)
    if not is_about(statement, [each.file.digest for each in files]):
        raise GateError(
            "The provenance statement is about other files than the package's.",
            where=opened.where,
            fix="verify the package: starfreight package verify; or get it again from its source",
        )
    machine = recorded_machine(provenance)
    return RecordedBuild(
        package=package,
        provenance=provenance,
        files=tuple(files),
        identity=recorded_identity(provenance.recipe, package.base.digest, _terms(package, provenance)),
        merge_base=provenance.recipe.package.merge.base,
        # As in the build: jobs load the base in bfloat16 on a GPU, in float32 on a CPU.
        load_dtype="F32" if not machine or machine.get("device") == "cpu" else "BF16",
    )


def _terms(package: Package, provenance: Provenance) -> tuple[str, ...]:
    """The licenses of the data that the package's files name."""
    if provenance.recipe.package.license is not None:
        return ()
    names = (name for source in provenance.sources for name in source.licenses)
    return recorded_terms(package, names, known_license(provenance.recipe.base) or "")
