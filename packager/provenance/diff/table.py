"""The parts of packages that ``starfreight package diff`` compares, in the order of its page."""

from __future__ import annotations

from starfreight.packager.provenance.diff.interface import ComparedPart
from starfreight.packager.provenance.diff.parts.data import DataPart
from starfreight.packager.provenance.diff.parts.duties import DutiesPart
from starfreight.packager.provenance.diff.parts.figures import FiguresPart
from starfreight.packager.provenance.diff.parts.files import FilesPart
from starfreight.packager.provenance.diff.parts.recorded_facts import BasePart, ModelPart, RecipePart
from starfreight.packager.provenance.diff.parts.signers import SignersPart
from starfreight.packager.provenance.diff.parts.texts import TextsPart
from starfreight.packager.provenance.diff.parts.tools import ToolsPart
from starfreight.packager.provenance.diff.parts.training import TrainingPart
from starfreight.packager.provenance.diff.parts.withdrawn import WithdrawnPart

PARTS: tuple[ComparedPart, ...] = (
    ModelPart(),
    BasePart(),
    RecipePart(),
    DataPart(),
    TrainingPart(),
    FiguresPart(),
    DutiesPart(),
    TextsPart(),
    FilesPart(),
    ToolsPart(),
    SignersPart(),
    WithdrawnPart(),
)
