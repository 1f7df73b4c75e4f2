"""One sample after another past every filter that looks at one text at a time.

    examiner = Examiner(recipe.data[0], recipe_folder)
    finding = examiner.examine(sample)

What only a view of all samples can tell (duplicates, the split) is the catalogue's. An examiner can be
pickled and given to each process once; it holds no text after it has answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starfreight.jobs.data.filters.contamination import ContaminationFilter
from starfreight.jobs.data.filters.generated import GeneratedFilter
from starfreight.jobs.data.filters.interface import Document, Filter, Finding
from starfreight.jobs.data.filters.license import LicenseFilter, license_of
from starfreight.jobs.data.filters.minhash import signature
from starfreight.jobs.data.filters.minified import MinifiedFilter
from starfreight.jobs.data.filters.opt_out import OptOutFilter
from starfreight.jobs.data.filters.personal_data import PersonalDataFilter
from starfreight.jobs.data.filters.secrets import SecretsFilter
from starfreight.jobs.data.filters.vendored import VendoredFilter
from starfreight.jobs.data.languages import language_of
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.swhid import content_swhid
from starfreight.jobs.data.words import word_hashes
from starfreight.recipe.data import Data

_TRAINED_ON = ("prefix", "middle", "suffix", "prompt", "response", "messages")
"""The fields of a record that examples are made of; others (``id``, ``source``) are not read."""
_DEEPEST = 16


class Examiner:
    """The filters of one source, in a fixed order: what the law asks first, then what is quickest."""

    def __init__(self, data: Data, recipe_folder: Path) -> None:
        """Reads the lists and the evaluation sets that the recipe names.

        Args:
            data: the source.
            recipe_folder: what the names of lists and sets are relative to.

        Raises:
            InputError: one of them cannot be used.
        """
        filters = data.filters
        self._data = data
        self._filters: list[Filter] = []
        if filters.opt_out is not None:
            self._filters.append(OptOutFilter(recipe_folder / filters.opt_out))
        self._filters.append(LicenseFilter(data))
        if filters.vendored:
            self._filters.append(VendoredFilter())
        if filters.generated:
            self._filters.append(GeneratedFilter())
        if filters.minified:
            self._filters.append(MinifiedFilter())
        if filters.evaluation_sets:
            self._filters.append(ContaminationFilter(filters.evaluation_sets, recipe_folder))
        if filters.secrets == "leave_out":
            self._filters.append(SecretsFilter())
        if filters.personal_data == "leave_out":
            self._filters.append(PersonalDataFilter())

    def examine(self, sample: Sample) -> Finding:
        """What there is to know of a sample, and the first filter that objects to it.

        A sample that is left out has no signature, and nothing in it is counted as replaced.
        """
        text = text_of(sample.content)
        swhid = None
        if isinstance(sample.content, str):
            swhid = content_swhid(sample.content.encode("utf-8", "surrogatepass"))
        document = Document(
            sample=sample,
            text=text,
            language=language_of(sample.path),
            license=license_of(text, sample.license, self._data),
            swhid=swhid,
        )
        rejected_by, detail = self._first_objection(document)
        replaced: dict[str, int] = {}
        minhash = None
        if rejected_by is None:
            replaced = redact(sample.content, self._data.filters)[1]
            if self._data.filters.near_duplicates:
                minhash = signature(word_hashes(text))
        return Finding(
            sample_name=sample.name,
            digest=sample.digest,
            size=sample.size,
            swhid=swhid,
            path=sample.path,
            repository=sample.repository,
            commit=sample.commit,
            license=document.license,
            language=document.language,
            rejected_by=rejected_by,
            detail=detail,
            replaced=replaced,
            key=_key(text),
            signature=minhash,
        )

    def _first_objection(self, document: Document) -> tuple[str | None, str | None]:
        for one in self._filters:
            detail = one.reject(document)
            if detail is not None:
                return one.name, detail
        return None, None


def text_of(content: str | Mapping[str, Any]) -> str:
    """A text, or the texts of a record that it is trained on, one after another.

    The parts of a fill-in-the-middle record make one text again; others are divided by an empty line.
    """
    if isinstance(content, str):
        return content
    parts = [content.get(name) for name in _TRAINED_ON[:3]]
    if all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)
    fields = [content[name] for name in _TRAINED_ON if name in content] or list(content.values())
    return "\n\n".join(piece for field in fields for piece in _strings(field, 0))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        # A message's role is not its text.
        values = [value["content"]] if isinstance(value.get("content"), str) else list(value.values())
        if depth < _DEEPEST:
            for item in values:
                yield from _strings(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < _DEEPEST:
        for item in value:
            yield from _strings(item, depth + 1)


def _key(text: str) -> bytes:
    """The same for texts that differ in white space at line ends alone, and at the end."""
    lines = "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n")
    return hashlib.blake2b(lines.encode("utf-8", "surrogatepass"), digest_size=16).digest()
