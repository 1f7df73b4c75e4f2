from __future__ import annotations

from collections.abc import Callable

import pytest

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.license import LicenseFilter, license_of
from starfreight.recipe.data import Data, Filters

GPL = """\
/* This program is free software: you can redistribute it and/or modify
 * it under the terms of the GNU General Public
 * License as published by the Free Software Foundation, either version 3 of
 * the License, or (at your option) any later version.
 */
"""
APACHE = """\
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
"""
MIT = "Permission is hereby granted, free of charge, to any person obtaining\n// a copy of this software ..."
BSD = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted ..."


def source(license: str = "NOASSERTION", **filters: object) -> Data:
    return Data(source="./src", license=license, filters=Filters(**filters))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("# SPDX-License-Identifier: MIT\n", "MIT"),
        ("<!-- SPDX-License-Identifier: Apache-2.0 -->", "Apache-2.0"),
        ("/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */", "GPL-2.0-only OR MIT"),
        ("// SPDX-License-Identifier: gpl-2.0+", "GPL-2.0-or-later"),
        ("(* SPDX-License-Identifier: MIT *)", "MIT"),
        ("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: ISC\n", "ISC AND MIT"),
        ("# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n", "Apache-2.0 WITH LLVM-exception"),
        ("# SPDX-License-Identifier: LicenseRef-Acme\n", "LicenseRef-Acme"),
        (GPL, "GPL-3.0-or-later"),
        (GPL.replace("General", "Lesser General"), "LGPL-3.0-or-later"),
        (GPL.replace("General", "Affero General"), "AGPL-3.0-or-later"),
        (GPL.replace("version 3", "version 2").replace("any later", "no later"), "GPL-2.0-only"),
        ("# Licensed under the GPL v2.", "GPL-2.0-only"),
        ("// terms of the Mozilla Public License, v. 2.0. If a copy", "MPL-2.0"),
        ("# Proprietary and confidential", "LicenseRef-Proprietary"),
        (APACHE, "Apache-2.0"),
        (MIT, "MIT"),
        (BSD, "BSD-2-Clause"),
        (BSD + "\n * Neither the name of the copyright holder", "BSD-3-Clause"),
        (MIT + GPL, "GPL-3.0-or-later AND MIT"),
        ("# SPDX-License-Identifier: MIT\n" + GPL, "MIT"),
        ("# You may not copy the GNU General Public License.", None),
        ("CLASSIFIERS = ['License :: OSI Approved :: GNU General Public License v3 (GPLv3)']", None),
        ("x = 1\n", None),
        ("# SPDX-License-Identifier: NOASSERTION\n", None),
        ("f'SPDX-License-Identifier: {license}'", None),
        ("\n" * 60 + "# SPDX-License-Identifier: MIT\n", None),
        (" " * 9000 + "# SPDX-License-Identifier: MIT\n", None),
    ],
)
def test_a_file_s_own_license_is_read_from_its_head(text: str, license: str | None) -> None:
    assert license_of(text, None, source()) == license


def test_the_nearest_statement_counts() -> None:
    assert license_of("# SPDX-License-Identifier: ISC\n", "MIT", source("Apache-2.0")) == "ISC"
    assert license_of("x = 1\n", "MIT", source("Apache-2.0")) == "MIT"
    assert license_of("x = 1\n", "NOASSERTION", source("Apache-2.0")) == "Apache-2.0"
    assert license_of("x = 1\n", " ", source("Apache-2.0")) == "Apache-2.0"
    assert license_of("x = 1\n", None, source()) is None


@pytest.mark.parametrize(
    ("license", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH Commons-Clause", False),
        ("MIT WITH LicenseRef-NoAI", False),
        ("NOASSERTION OR MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND ISC", True),
        ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("LicenseRef-Acme", False),
        ("MIT OR", False),
        ("MIT or so they say", False),
        ("NONE", False),
        ("(" * 5000 + "MIT" + ")" * 5000, False),
        ("MIT AND " * 5000 + "MIT", False),
    ],
)
def test_an_expression_is_allowed_when_what_it_asks_for_is(
    license: str, allowed: bool, make_document: Callable[..., Document]
) -> None:
    detail = LicenseFilter(source()).reject(make_document(license=license))
    assert (detail is None) == allowed
    assert detail is None or len(detail) < 250


def test_the_license_of_the_source_itself_is_allowed(make_document: Callable[..., Document]) -> None:
    data = source("LicenseRef-Acme AND EPL-2.0")
    one = LicenseFilter(data)
    assert one.reject(make_document(data=data)) is None
    assert one.reject(make_document("# SPDX-License-Identifier: EPL-2.0\n", data=data)) is None
    assert one.reject(make_document(GPL, data=data)) == "license GPL-3.0-or-later"


def test_what_is_unknown_is_left_out_unless_any_license_will_do(
    make_document: Callable[..., Document],
) -> None:
    assert LicenseFilter(source()).reject(make_document()) == "license unknown"
    assert LicenseFilter(source(licenses="any")).reject(make_document()) is None
    assert LicenseFilter(source(licenses="any")).reject(make_document(GPL)) is None


def test_the_recipe_s_list_replaces_the_usual_one(make_document: Callable[..., Document]) -> None:
    one = LicenseFilter(source(licenses=("gpl-3.0-or-later", "LicenseRef-Ours")))
    assert one.reject(make_document(GPL)) is None
    assert one.reject(make_document(license="LicenseRef-Ours")) is None
    assert one.reject(make_document(license="MIT")) == "license MIT"
