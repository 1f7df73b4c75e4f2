"""Imported files come first."""

from __future__ import annotations

import pytest

from starfreight.jobs.data.import_order import order_by_imports


def ordered(files: dict[str, str]) -> list[str]:
    paths = list(files)
    return [paths[number] for number in order_by_imports(list(files.items()))]


@pytest.mark.parametrize(
    "files",
    [
        {"app/main.py": "from .db import Q", "app/db.py": "import app.util", "app/util.py": ""},
        {"src/a/main.py": "from a.b import c", "src/a/b/c.py": "from ..z import y", "src/a/z.py": ""},
        {"a.ts": "import { x } from './z/b';", "z/b.ts": "const y = require('../c.js')", "c.js": ""},
        {"a.js": "export * from './lib'", "lib/index.js": ""},
        {"main.c": '#include "lib/foo.h"', "lib/foo.h": ""},
        {"x/A.java": "import x.y.B;", "x/y/B.java": "import static x.z.C;", "x/z/C.java": ""},
        {"a.go": 'package m\nimport (\n\t"fmt"\n\tu "example.com/m/util"\n)', "util/u.go": "package util"},
        {"src/main.rs": "mod b;\nuse crate::c::d::E;", "src/c/d.rs": "use crate::b::X;", "src/b.rs": ""},
        {"A.php": "use App\\Models\\User;", "app/Models/User.php": "require 'lib/z.php';", "lib/z.php": ""},
        {"a.rb": "require_relative 'z'", "z.rb": ""},
        {"a.sh": "source ./z.sh", "z.sh": ""},
    ],
    ids=lambda files: next(iter(files)),
)  # fmt: skip
def test_files_precede_their_users_in_every_language(files: dict[str, str]) -> None:
    # Each file needs some of those after it, so that the order by path alone would be wrong.
    assert ordered(files) == list(files)[::-1]


def test_the_header_that_is_named_comes_first_and_not_the_file_beside_it() -> None:
    files = {"a.c": '#include "foo.h"\n', "foo.c": '#include "foo.h"\n', "foo.h": ""}
    assert ordered(files) == ["foo.h", "a.c", "foo.c"]


def test_a_circle_is_broken_in_the_same_place_whatever_the_order_of_the_files() -> None:
    files = {"a.py": "import b", "b.py": "import c", "c.py": "import a", "d.py": "import d"}
    expected = ["c.py", "b.py", "a.py", "d.py"]
    assert ordered(files) == expected
    assert ordered(dict(reversed(files.items()))) == expected


def test_files_that_cannot_be_read_as_code_keep_their_place_by_path() -> None:
    assert ordered({"b.py": "def (:", "a.py": "\x00", "c.unknown": "import a"}) == [
        "a.py",
        "b.py",
        "c.unknown",
    ]


def test_a_long_chain_is_followed_to_its_end() -> None:
    files = {f"m{number:05}.py": f"import m{number + 1:05}\n" for number in range(5000)}
    assert ordered(files) == sorted(files, reverse=True)
