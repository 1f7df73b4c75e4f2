"""The pipeline of filters for single samples.

    pipeline = FilterPipeline(recipe.data[0], recipe_folder)
    finding = pipeline.run(sample)

Filters that need all samples (duplicates, held-out texts) are applied by the catalogue. A pipeline keeps no
text between calls.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starfreight.jobs.data.dialects.describe import read_sample
from starfreight.jobs.data.dialects.interface import Reading
from starfreight.jobs.data.dialects.triple import check_record
from starfreight.jobs.data.filters.contamination import ContaminationFilter
from starfreight.jobs.data.filters.conversation import ConversationFilter
from starfreight.jobs.data.filters.generated import GeneratedFilter
from starfreight.jobs.data.filters.interface import AnswerSketch, Document, Filter, Finding
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
from starfreight.jobs.data.training_text import conversation_text, training_text
from starfreight.jobs.data.word_hashes import word_hashes
from starfreight.recipe.data import Data
from starfreight.swhid import content_swhid


class FilterPipeline:
    """The filters of one source in a fixed order: legal reasons first, then by speed."""

    def __init__(self, data: Data, recipe_folder: Path) -> None:
        """Read the opt-out list and the evaluation sets of the recipe.

        Args:
            data: the source.
            recipe_folder: the base of their paths.

        Raises:
            InputError: one of them cannot be used.
        """
        filters = data.filters
        self._data = data
        self._filters: list[Filter] = []
        if filters.opt_out is not None:
            self._filters.append(OptOutFilter(recipe_folder / filters.opt_out))
        self._filters.append(LicenseFilter(data))
        if data.format == "instruct":
            self._filters.append(ConversationFilter())
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

    def run(self, sample: Sample) -> Finding:
        """Return the properties of a sample, and the first filter to reject it.

        A rejected sample has no signature and no redactions.

        Raises:
            InputError: a record lacks the fields of its format, or has an invalid value.
        """
        reading = None
        if self._data.format == "instruct":
            reading = read_sample(sample, self._data)
        else:
            check_record(sample, self._data.format)
        text = (
            training_text(sample.content) if reading is None else conversation_text(sample.content, reading)
        )
        swhid = None
        converted = sample.conversion
        if converted is not None:
            swhid = converted.swhid
        elif isinstance(sample.content, str):
            swhid = content_swhid(sample.content.encode("utf-8", "surrogatepass"))
        document = Document(
            sample=sample,
            text=text,
            language=(converted.language if converted else None) or language_of(sample.path),
            license=license_of(text, sample.license, self._data),
            swhid=swhid,
            reading=reading,
        )
        rejected_by, detail = self._first_rejection(document)
        replaced: dict[str, int] = {}
        minhash = answer = None
        if rejected_by is None:
            replaced = redact(sample.content, self._data.filters)[1]
            if self._data.filters.near_duplicates:
                minhash = signature(word_hashes(text))
                answer = _answer(reading) if reading is not None and minhash is not None else None
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
            answer=answer,
            dialect=reading.dialect if reading is not None else None,
            notes=(*(converted.notes if converted else ()), *(reading.notes if reading else ())),
            unused=(*reading.unused, *reading.dropped) if reading is not None else (),
        )

    def _first_rejection(self, document: Document) -> tuple[str | None, str | None]:
        for each in self._filters:
            detail = each.reject(document)
            if detail is not None:
                return each.name, detail
        return None, None


def _answer(reading: Reading) -> AnswerSketch:
    return AnswerSketch(_key(reading.answer), signature(word_hashes(reading.answer)))


def _key(text: str) -> bytes:
    """Return a digest of a text without trailing white space on its lines and at its end."""
    lines = "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n")
    return hashlib.blake2b(lines.encode("utf-8", "surrogatepass"), digest_size=16).digest()
