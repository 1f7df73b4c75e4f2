"""The kinds of questions, by the option that asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starfreight.packager.provenance.trace.file_question import FileQuestion
from starfreight.packager.provenance.trace.interface import Question
from starfreight.packager.provenance.trace.license_question import LicenseQuestion
from starfreight.packager.provenance.trace.repository_question import RepositoryQuestion
from starfreight.packager.provenance.trace.swhid_question import SwhidQuestion

QUESTIONS: Mapping[str, Callable[[str], Question]] = {
    "file": FileQuestion.ask,
    "repository": RepositoryQuestion.ask,
    "license": LicenseQuestion.ask,
    "swhid": SwhidQuestion.ask,
}
