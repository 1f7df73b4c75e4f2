"""The checks of license duties, by the name that license files use."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.licenses import CheckName
from starfreight.packager.provenance.duties.base_documentation import BaseDocumentation
from starfreight.packager.provenance.duties.interface import DutyCheck
from starfreight.packager.provenance.duties.judgement import Judgement
from starfreight.packager.provenance.duties.license_text import LicenseText
from starfreight.packager.provenance.duties.modifications import Modifications
from starfreight.packager.provenance.duties.name_prefix import NamePrefix
from starfreight.packager.provenance.duties.no_sharing import NoSharing
from starfreight.packager.provenance.duties.notice_text import DisplayText, NoticeText
from starfreight.packager.provenance.duties.notices import Notices
from starfreight.packager.provenance.duties.same_license import SameLicense
from starfreight.packager.provenance.duties.trademarks import Trademarks
from starfreight.packager.provenance.duties.use_restrictions import UseRestrictions

CHECKS: Mapping[CheckName, DutyCheck] = {
    "license-text": LicenseText(),
    "use-restrictions": UseRestrictions(),
    "base-documentation": BaseDocumentation(),
    "modifications": Modifications(),
    "notices": Notices(),
    "trademarks": Trademarks(),
    "name-prefix": NamePrefix(),
    "notice-text": NoticeText(),
    "display-text": DisplayText(),
    "same-license": SameLicense(),
    "no-sharing": NoSharing(),
    "judgement": Judgement(),
}
