"""The Modelfile beside a model's plain files."""

from __future__ import annotations

from starfreight.packager.install.interface import Model, Source
from starfreight.packager.modelfile import write_modelfile
from starfreight.packager.modelfile.of_package import modelfile_of_parts


def modelfile_text(model: Model, gguf_name: str, adapter_name: str, source: Source) -> str:
    """The text of the Modelfile, for ``ollama create -f``.

    Raises:
        GateError: the model's parameters are damaged.
        InputError: a text cannot be in a Modelfile.
    """
    return write_modelfile(
        modelfile_of_parts(
            gguf_name,
            adapter_name if model.adapter is not None else None,
            template=model.template,
            system=model.system,
            settings=model.settings,
            licenses=model.licenses,
            read=source.read,
        )
    )
