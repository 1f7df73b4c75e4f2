"""Ollama's Modelfiles: parse, write, and make the one of a package.

modelfile = parse_modelfile(Path("Modelfile").read_bytes())
modelfile.template, modelfile.parameters()["stop"]
write_modelfile(modelfile_of(package, package.default_variant, "model.gguf", None, ImageLayout(folder).read))
"""

from starfreight.packager.modelfile.commands import Command, Modelfile
from starfreight.packager.modelfile.of_package import license_value, modelfile_of, modelfile_of_parts
from starfreight.packager.modelfile.parse import parse_modelfile, read_modelfile
from starfreight.packager.modelfile.write import write_modelfile

__all__ = [
    "Command",
    "Modelfile",
    "license_value",
    "modelfile_of",
    "modelfile_of_parts",
    "parse_modelfile",
    "read_modelfile",
    "write_modelfile",
]
