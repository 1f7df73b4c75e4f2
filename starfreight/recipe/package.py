"""The recipe's ``package``: files to ship, license, template and model card."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule
from starfreight.recipe.values import Line, RecipePart, Text, Url

MergeBase = Literal["original", "nf4_roundtrip"]


class Merge(RecipePart):
    """Merging of the adapter into the base model."""

    base: MergeBase = "original"
    """The weights to merge into. `original`: the base model's own weights. `nf4_roundtrip`: the weights as
    training used them, rounded to NF4 and back; the adapter has learnt to correct this rounding. The package
    records the choice."""


class ImportanceMatrix(RecipePart):
    """A calibration after training. It measures how much each input of a linear layer matters to the tuned
    model; quantisation weights its rounding errors by that (llama.cpp's imatrix).
    """

    blocks: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Maximum number of training blocks to read."""


class ModelCard(RecipePart):
    """Contents of the model card besides the measurements."""

    title: Line | None = None
    """Title of the card; the recipe's name by default."""
    description: Text = ""
    """Description of the model."""
    intended_use: Text = ""
    """Intended uses."""
    limitations: Text = ""
    """Unsuitable uses and known failures."""
    authors: tuple[Line, ...] = ()
    """Authors of the tuned model."""
    contact: Line | None = None
    """Contact for questions."""
    url: Url | None = None
    """Web page of the tuned model."""
    repository: Url | None = None
    """Repository of the recipe and the data."""
    doi: Annotated[str, Field(pattern=r"^10\.[0-9]{4,9}/[!-~]{1,200}$")] | None = None
    """DOI of the tuned model, such as `10.5281/zenodo.1234`."""


def _any_case(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


# Any case is accepted; the schema for editors lists llama.cpp's, Ollama's and lower-case spellings.
_SPELLINGS = [s for q in Quantization for s in (q.value, q.tag, q.value.lower())]

QuantizationName = Annotated[
    Quantization,
    BeforeValidator(_any_case),
    WithJsonSchema({"type": "string", "enum": list(dict.fromkeys(_SPELLINGS))}),
]


def _valid_jinja(value: str) -> str:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(value)
    except TemplateSyntaxError as error:
        raise ValueError(f"is not a Jinja template: line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise ValueError("is not a Jinja template: nested too deeply") from None
    return value


JinjaTemplate = Annotated[Text, AfterValidator(_valid_jinja)]


class PackageOptions(RecipePart):
    """Settings of the package."""

    quantizations: Annotated[tuple[QuantizationName, ...], Field(min_length=1)] = (
        Quantization.Q4_K_M,
        Quantization.Q8_0,
    )
    """Quantizations to build, one GGUF file each."""
    default: QuantizationName | None = None
    """Quantization of the plain tag; the first of `quantizations` by default."""
    template: Literal["auto", "completion", "instruct"] | Text = "auto"
    """The prompt template. `auto` is `instruct` if a source has that format, else `completion`. Custom Ollama
    templates are accepted."""
    chat_template: JinjaTemplate | None = None
    """Jinja template of a conversation, which llama-server reads from the GGUF files. By default that of
    `instruct`; none with any other template, which cannot be translated."""
    parameters: dict[Line, bool | int | float | Line | tuple[Line, ...]] = Field(default={})
    """Ollama parameters such as `temperature`. By default, `stop` lists the special tokens, and `num_ctx` is
    the base model's context or sliding window, whichever is shorter."""
    system: Text | None = None
    """System prompt that Ollama sends with each request."""
    license: Line | None = None
    """License of the tuned model; the base model's by default."""
    license_files: tuple[Line, ...] = ()
    """Files with license texts, besides the base model's LICENSE files. At least one text is required; those
    of BigCode OpenRAIL-M and Apache-2.0 come with Starfreight."""
    ship: Literal["merged", "adapter"] = "merged"
    """`merged`: each quantization is the whole tuned model. `adapter`: each quantization is the base model
    alone, with the adapter (a few MB) as a separate file. The base file is the same in every package of that
    base, so registries and clients store it once. Clients must apply the adapter: Ollama and llama.cpp do."""
    merge: Merge = Merge()
    """Merging of the adapter."""
    imatrix: ImportanceMatrix | None = None
    """Importance matrix for the quantised files, such as `{blocks: 64}`; none by default."""
    card: ModelCard = ModelCard()
    """Contents of the model card."""
    data_manifest: Literal["include", "digest"] = "include"
    """`include`: the package has the list of all training files, with digest, license and origin of each, so
    that anyone can ask whether a file was used. `digest`: only the digest of the list is published."""
    quality: tuple[QualityRule, ...] = ()
    """Bounds on figures of the evaluation. A package that misses one or lacks the figure is not published."""

    @model_validator(mode="after")
    def _each_once(self) -> PackageOptions:
        if len(set(self.quantizations)) != len(self.quantizations):
            raise ValueError("names a quantization twice: two variants would have the same name")
        if self.default is not None and self.default not in self.quantizations:
            raise ValueError(f"has the default {self.default}, which is not among its quantizations")
        if self.ship == "adapter":
            own = {
                "merge.base: nf4_roundtrip": self.merge.base != "original",
                "imatrix": self.imatrix is not None,
                "chat_template": self.chat_template is not None,
            }
            for key in (key for key, given in own.items() if given):
                raise ValueError(
                    f"has both ship: adapter and {key}: a shared base is the published one, not one made for "
                    "a single adapter"
                )
        return self
