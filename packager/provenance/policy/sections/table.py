"""The sections of a policy, in the order of its findings."""

from __future__ import annotations

from starfreight.packager.provenance.policy.sections.bases import BasesSection
from starfreight.packager.provenance.policy.sections.builders import BuildersSection
from starfreight.packager.provenance.policy.sections.data import DataSection
from starfreight.packager.provenance.policy.sections.figures import FiguresSection
from starfreight.packager.provenance.policy.sections.interface import Section
from starfreight.packager.provenance.policy.sections.licenses import LicensesSection
from starfreight.packager.provenance.policy.sections.require import RequireSection
from starfreight.packager.provenance.policy.sections.signers import SignersSection

SECTIONS: tuple[Section, ...] = (
    SignersSection(),
    BasesSection(),
    LicensesSection(),
    FiguresSection(),
    BuildersSection(),
    DataSection(),
    RequireSection(),
)
