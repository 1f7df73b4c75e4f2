"""The recipe's ``data``: sources, how examples are cut from them, and filters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starfreight.recipe.units import Fraction
from starfreight.recipe.values import Line, RecipePart


class Fim(RecipePart):
    """Fill-in-the-middle examples cut from files."""

    rate: Fraction = 0.9
    """Fraction of the examples that are cut; the rest are read from left to right."""
    spm_rate: Fraction = 0.5
    """Fraction of the cut examples with the suffix before the prefix."""
    line_rate: Fraction = 0.5
    """Fraction of the cuts that take out one line or its end."""
    node_rate: Fraction | None = None
    """Fraction of the cuts that take out a node of the syntax tree (an expression, a statement, a body), in
    languages with a known grammar. Defaults to 25%, or less if `line_rate` leaves less. The remaining cuts
    fall on any character."""

    @property
    def nodes(self) -> float:
        """`node_rate` as a number."""
        return min(0.25, 1 - self.line_rate) if self.node_rate is None else self.node_rate

    @model_validator(mode="after")
    def _at_most_all(self) -> Fim:
        if self.line_rate + self.nodes > 1:
            raise ValueError("has a line_rate and a node_rate that add up to more than 100%")
        return self


class Repository(RecipePart):
    """Examples of whole repositories (StarCoder2 paper, section 5.1)."""

    metadata_rate: Fraction = 0.5
    """Fraction of the examples that contain the repository's name and the files' paths."""
    fim_rate: Fraction = 0.5
    """Fraction of the repositories in which files are cut."""
    file_fim_rate: Fraction = 0.5
    """Fraction of the files that are cut in those repositories."""


PERMISSIVE = (
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0",
    "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
)  # fmt: skip


class Filters(RecipePart):
    """Filters of a source, each with a report. Off by default: only `evaluation_sets` and `opt_out`."""

    licenses: Literal["any"] | tuple[Line, ...] = PERMISSIVE
    """Licenses to accept, as SPDX identifiers; the source's own `license` is always accepted. `any` accepts
    every file, even without a known license."""
    exact_duplicates: bool = True
    """Leaves out exact copies of earlier texts, in this source or one before it."""
    near_duplicates: Annotated[Fraction, Field(ge=0.7)] | Literal[False] = 0.85
    """Leaves out texts at least this similar to an earlier one (Jaccard similarity of their shingles)."""
    secrets: Literal["leave_out", "replace", "keep"] = "leave_out"
    """Keys, tokens and passwords: leaves out the text, or replaces them with placeholders."""
    personal_data: Literal["replace", "leave_out", "keep"] = "replace"
    """E-mail addresses, IP addresses and the like: replaces them, or leaves out the text."""
    generated: bool = True
    """Leaves out generated code."""
    minified: bool = True
    """Leaves out minified code, and data in the shape of code: very long lines, few letters."""
    vendored: bool = True
    """Leaves out directories of third-party code (`vendor/`, `node_modules/`, `third_party/`)."""
    evaluation_sets: tuple[Line, ...] = ()
    """Evaluation sets (directories and JSONL files): leaves out texts that share a run of words with them."""
    opt_out: Line | None = None
    """A file of repository names and SWHIDs to leave out, one per line."""


class Columns(RecipePart):
    """Columns of a dataset or a Parquet or JSONL file. Common names are tried for those not given."""

    content: Line | None = None
    """The file's text: `content`, `text` or `code`."""
    path: Line | None = None
    """The file's path: `path`, `max_stars_repo_path` or `file_path`."""
    repository: Line | None = None
    """The file's repository: `repo_name`, `repository`, `repo` or `max_stars_repo_name`."""
    license: Line | None = None
    """The file's license, or a list of licenses: `license`, `licenses` or `max_stars_repo_licenses`."""
    prompt: Line | None = None
    """Of instructions: the instruction, `prompt` or `instruction`."""
    response: Line | None = None
    """Of instructions: the answer, `response`, `completion` or `output`."""
    messages: Line | None = None
    """Of instructions: the conversation, `messages` or `conversations`."""
    system: Line | None = None
    """Of instructions: the system message, `system` or `system_prompt`."""
    input: Line | None = None
    """Of instructions: a text that follows the instruction, `input`."""
    history: Line | None = None
    """Of instructions: earlier instructions and answers, `history`."""

    @model_validator(mode="after")
    def _one_conversation(self) -> Columns:
        pair = [key for key in ("prompt", "response", "input", "history") if getattr(self, key) is not None]
        if self.messages is not None and pair:
            raise ValueError(f"names messages and {pair[0]}, which are two conversations: remove one of them")
        return self

    @property
    def of_instructions(self) -> tuple[str, ...]:
        """The keys that are given and that only the format `instruct` has."""
        keys = ("prompt", "response", "messages", "system", "input", "history")
        return tuple(key for key in keys if getattr(self, key) is not None)


class Data(RecipePart):
    """One source of training data."""

    source: Line
    """A directory of code (`./src`), a git repository at a commit (`git:https://...`), a JSONL, JSON or
    Parquet file (`./pairs.jsonl`), the source of an installed Python package (`python:click`), a `datasets`
    dataset (`dataset:./directory` or `dataset:org/name`), or an artifact of an OCI registry
    (`oci://HOST/NAMESPACE/NAME@sha256:...`)."""
    format: Literal["fim", "instruct", "repository", "code"] = "fim"
    """`fim`: files, or objects with `prefix`, `middle` and `suffix`. `instruct`: objects with an
    instruction and an answer, or with messages; only the answers count towards the loss. `repository`: the
    files of each repository as one text, imported files first. `code`: files, read from left to right."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The commit of a git repository or of a dataset on the hub, 40 hex digits."""
    split: Line = "train"
    """The split of a `datasets` dataset."""
    license: Line = "NOASSERTION"
    """The license of every file in this source that does not state its own, as an SPDX expression."""
    repositories: Literal["whole", "subfolders"] = "whole"
    """`whole`: the directory is one repository. `subfolders`: each directory in it is one. A source with
    several repositories is held out by repository."""
    columns: Columns = Columns()
    """The columns of a dataset or of files of records."""
    weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How often to read this source in one pass over the data: 0.5 reads every other text, 3 reads each text
    three times, cut differently each time."""
    include: tuple[Line, ...] = ("*",)
    """Files to include, as patterns for the path or the name. Records without a path are always included."""
    exclude: tuple[Line, ...] = ()
    """Files to leave out of the included ones."""
    held_out: Fraction = 0.1
    """Fraction of the files (or objects) held out for evaluation."""
    fim: Fim = Fim()
    """Cuts in the examples of the formats `fim` and `repository`."""
    repository: Repository = Repository()
    """Examples of the format `repository`."""
    filters: Filters = Filters()
    """Filters of this source."""

    @model_validator(mode="after")
    def _columns_of_its_format(self) -> Data:
        if self.format != "instruct" and self.columns.of_instructions:
            raise ValueError(
                f"names the column {self.columns.of_instructions[0]} of instructions: "
                "set format to instruct, or remove it"
            )
        return self
