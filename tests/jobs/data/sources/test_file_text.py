"""Text files as what they are: decoded, without marks, as cells; pointers and conflicts are left out."""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.jobs.data.manifest.build_manifest import build_manifest
from starfreight.jobs.data.sources.file_text import FileText, file_text
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data

CODE = "def total(prices):\n    return sum(prices)  # \u65e5\u672c\n"
OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n"
KEY = f"SHA256E-s48113--{OID}.py"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"\xef\xbb\xbf" + CODE.encode(), "byte order mark removed"),
        (codecs.BOM_UTF16_LE + CODE.encode("utf-16-le"), "decoded from UTF-16"),
        (codecs.BOM_UTF16_BE + CODE.encode("utf-16-be"), "decoded from UTF-16"),
        (codecs.BOM_UTF32_LE + CODE.encode("utf-32-le"), "decoded from UTF-32"),
        (codecs.BOM_UTF32_BE + CODE.encode("utf-32-be"), "decoded from UTF-32"),
        (CODE.replace("\n", "\r").encode(), "line ends of one carriage return"),
        (CODE.encode("iso-2022-jp"), "decoded from iso-2022-jp"),
    ],
)
def test_other_encodings_of_a_text_give_that_text_and_are_noted(content: bytes, note: str) -> None:
    found = file_text(content, "a.py")
    assert isinstance(found, FileText)
    assert found.text == CODE
    assert found.conversion is not None
    assert found.conversion.notes == (note,)
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    assert found.conversion.swhid == f"swh:1:cnt:{blob}"


@pytest.mark.parametrize(
    ("line", "codec"),
    [
        ("# -*- coding: latin-1 -*-", "latin-1"),
        ("#!/usr/bin/python\n# vim: set fileencoding=cp1252 :", "cp1252"),
        ("# coding=ISO_8859_15", "iso8859-15"),
        ("// -*- mode: C; coding: latin-1-unix -*-", "latin-1"),
    ],
)
def test_a_declared_encoding_is_followed(line: str, codec: str) -> None:
    text = f"{line}\nname = 'caf\u00e9'\n"
    found = file_text(text.encode(codec), "a.py")
    assert isinstance(found, FileText)
    assert found.text == text
    assert file_text(text.encode(), "a.py") == FileText(text)  # UTF-8 stays UTF-8.


def test_japanese_in_shift_jis_is_read() -> None:
    text = "# -*- coding: shift_jis -*-\n# \u65e5\u672c\n"
    found = file_text(text.encode("shift_jis"), "a.py")
    assert isinstance(found, FileText)
    assert found.text == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# caf\xe9\n", "not UTF-8"),
        (b"# coding: rot13\n\xe9\n", "not UTF-8"),
        (b"# coding: unicode_escape\n\xe9", "not UTF-8"),
        (b"a\n\n# coding: latin-1\n\xe9", "not UTF-8"),
        (b"# coding: utf-8\n\xe9", "not UTF-8"),
        (b"# coding: cp932\n\xe9\n\x81", "not UTF-8"),
        (b"x = 1\0", "binary"),
        (b"\0GITCRYPT\0\x81", "binary"),
        (b"\xff\xfea", "binary"),
        (codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le"), "binary"),
        (b"\xff\xfe\x00\xd8", "binary"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf\n", "empty"),
        (codecs.BOM_UTF16_BE + b"\0\n", "empty"),
        (b"x" * ((1 << 20) + 1), "larger than 1 MiB"),
    ],
)
def test_other_bytes_are_left_out_with_a_reason(content: bytes, reason: str) -> None:
    assert file_text(content, "a.py") == reason


@pytest.mark.parametrize(
    "text", ["a\r\nb\r\n", "a\n\x0c\nb\u2028c\x85d\n", "a\rb\nc\n", "x\r", "<fim_prefix>\n"]
)
def test_utf_8_stays_as_it_is(text: str) -> None:
    if text != "x\r":
        assert file_text(text.encode(), "a.py") == FileText(text)
    else:
        found = file_text(text.encode(), "a.py")
        assert isinstance(found, FileText)
        assert found.text == "x\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LFS, "Git LFS pointer"),
        (LFS.replace("git-lfs", "hawser"), "Git LFS pointer"),
        ("version http://git-media.io/v/2\n" + LFS.partition("\n")[2], "Git LFS pointer"),
        ("version https://git-lfs.github.com/spec/v2\next-0-foo sha256:1\n", "Git LFS pointer"),
        (f"/annex/objects/{KEY}\n", "git-annex pointer"),
        (f"/annex/objects/{KEY}\nleft over\n", "git-annex pointer"),
        (f"../../.git/annex/objects/zX/9f/{KEY}/{KEY}", "git-annex pointer"),
        (f".git/annex/objects/zX/9f/{KEY}/{KEY}\n", "git-annex pointer"),
        (f"..\\.git\\annex\\objects\\zX\\9f\\{KEY}\\{KEY}", "git-annex pointer"),
        ("/annex/objects/URL--http&c%%example.com%a.py\n", "git-annex pointer"),
        ("/annex/objects/MD5-s3--d3b07384d113edec49eaa6238ad5ff00", "git-annex pointer"),
        (f"#$# git-fat {OID[:40]}              12345\n", "git-fat pointer"),
        ("# xet version 0\nfilesize = 3\nhash = '1'\n", "Xet pointer"),
    ],
)
@pytest.mark.parametrize(
    "write",
    [
        str.encode,
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\n" + text.encode(),
    ],
    ids=["plain", "CRLF", "CR", "mark", "UTF-16", "blank"],
)
def test_pointers_are_known_with_any_line_end_mark_and_address(
    text: str, kind: str, write: Callable[[str], bytes]
) -> None:
    assert file_text(write(text), "model.py") == kind


@pytest.mark.parametrize(
    "text",
    [
        f"A pointer begins with\n\n    {LFS}",
        f"PATH = '/annex/objects/{KEY}'\n",
        "version https://example.com\n",
        f'LFS = """{LFS}"""\n',
        "# git-fat\n",
    ],
)
def test_texts_about_pointers_stay(text: str) -> None:
    assert file_text(text.encode(), "a.py") == FileText(text)


CONFLICT = "a = 1\n<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n"


def test_files_with_unresolved_conflicts_are_left_out_but_documents_about_them_stay() -> None:
    both = CONFLICT.replace("=======", "||||||| base\nx = 0\n=======")
    for text in (CONFLICT, both, CONFLICT.replace("\n", "\r\n"), CONFLICT[6:]):
        assert file_text(text.encode(), "a.py") == "unresolved merge conflict"
    assert file_text(CONFLICT.encode(), "docs/merge.rst") == FileText(CONFLICT)
    for text in (
        CONFLICT.replace("\n<", "\n  <"),
        ">>>>>>> 1\n=======\n<<<<<<< 2\n",
        "Title\n=======\n\n>>>>>>> x\n",
    ):
        assert file_text(text.encode(), "a.py") == FileText(text)
    hostile = "<<<<<<<\n" + "=======\n" * 100_000 + ">>>>>>>x\n"
    began = time.process_time()
    assert isinstance(file_text(hostile.encode(), "a.py"), FileText)
    assert time.process_time() - began < 2


def cell(kind: str, source: Any, **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source, **more}


PICTURE = base64.b64encode(random.Random(0).randbytes(3000)).decode()


def notebook(*cells: Mapping[str, Any], language: str = "python") -> bytes:
    metadata = {"kernelspec": {"name": "k", "language": language}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


def test_a_notebook_is_its_cells_without_outputs_and_pictures() -> None:
    outputs = [{"output_type": "display_data", "data": {"image/png": PICTURE}}]
    content = notebook(
        cell(
            "markdown",
            ["# Load\n", "\n", f"![a](data:image/png;base64,{PICTURE})"],
            attachments={"a": PICTURE},
        ),
        cell(
            "code",
            ["%matplotlib inline\n", "import numpy as np\n", "!pip install x\n", "np.mean?\n", "a %= 3"],
            outputs=outputs,
        ),
        cell("code", "%%bash\nls -l"),
        cell("code", "%%time\nx = 1\n"),
        cell("code", "  \n"),
        cell("raw", "raw"),
    )
    found = file_text(content, "plot.ipynb")
    assert isinstance(found, FileText)
    assert found.text == (
        "# # Load\n#\n# ![a](data:image/png;base64,)\n\n"
        "# %matplotlib inline\nimport numpy as np\n# !pip install x\n# np.mean?\na %= 3\n\n"
        "# %%bash\n# ls -l\n\n# %%time\nx = 1\n"
    )
    assert found.conversion is not None
    assert found.conversion.notes == ("notebook read as its cells",)
    assert found.conversion.language == "Python"


@pytest.mark.parametrize(
    ("stated", "language", "comment"),
    [
        ("R", "R", "#"),
        ("c++17", "C++", "//"),
        ("python3", "Python", "#"),
        ("scala", "Scala", "//"),
        ("x", None, "#"),
        ("haskell", "Haskell", "--"),
        ("julia", "Julia", "#"),
        ("bash", "Shell", "#"),
    ],
)
def test_a_notebook_has_the_language_of_its_kernel(stated: str, language: str | None, comment: str) -> None:
    found = file_text(notebook(cell("markdown", "Text"), cell("code", "x"), language=stated), "a.ipynb")
    assert isinstance(found, FileText)
    assert found.conversion is not None
    assert (found.text, found.conversion.language) == (f"{comment} Text\n\nx\n", language)


def test_notebooks_of_the_third_format_are_read() -> None:
    cells = [{"cell_type": "code", "language": "python", "input": ["x = 1\n", "y = 2"], "outputs": []}]
    found = file_text(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}).encode(), "a.IPYNB")
    assert isinstance(found, FileText)
    assert found.text == "x = 1\ny = 2\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not JSON", "not a valid notebook"),
        (b"[1]", "not a valid notebook"),
        (b"{}", "not a valid notebook"),
        (b'{"cells": [1]}', "not a valid notebook"),
        (b'{"cells": [{"source": 1}]}', "not a valid notebook"),
        (b'{"cells": ' + b"[" * 100_000, "not a valid notebook"),
        (notebook(), "empty"),
        (b'{"worksheets": [{"cells": 5}]}', "not a valid notebook"),
        (notebook(cell("code", "\ud800")), "not valid text"),
        (notebook(cell("code", "a\0b")), "binary"),
        (b'{"cells": [' + b" " * (16 << 20), "larger than 1 MiB"),
        (b'{"cells": [' + b" " * (1 << 20), "not a valid notebook"),
    ],
)
def test_other_notebooks_are_left_out_with_a_reason(content: bytes, reason: str) -> None:
    assert file_text(content, "a.ipynb") == reason


def test_the_manifest_differs_where_the_reading_does_and_names_the_files_by_their_bytes(
    tmp_path: Path,
) -> None:
    def manifest(name: str, files: Mapping[str, bytes]) -> tuple[Path, DataManifest]:
        folder, out = tmp_path / name, tmp_path / f"{name}-out"
        folder.mkdir()
        out.mkdir()
        for each, content in files.items():
            (folder / each).write_bytes(content)
        data = Data(source=f"./{name}", license="MIT")
        build_manifest([data], [folder], tmp_path, out, Console(quiet=True), 1)
        return out / "manifest.json", DataManifest.load(out / "manifest.json")

    more = {"x.py": b"import os\n\nprint(os.getcwd())\n", "y.py": b"class Shop:\n    pass\n"}
    content = b"\xef\xbb\xbf" + CODE.encode()
    book = notebook(cell("code", "import json\nprint(json.dumps({}))"))
    path, odd = manifest("odd", {"a.py": content, "b.ipynb": book, **more})
    assert '"notes": {"byte order mark removed": 1, "notebook read as its cells": 1}' in path.read_text()
    entries = {each.path: each for each in odd.kept(0)}
    assert entries["a.py"].digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert entries["b.ipynb"].language == "Python"
    blob = hashlib.sha1(b"blob %d\0" % len(book) + book, usedforsecurity=False).hexdigest()
    assert entries["b.ipynb"].swhid == f"swh:1:cnt:{blob}"
    path, _ = manifest("plain", {"a.py": CODE.encode(), **more})
    assert "notes" not in path.read_text()


def test_notebooks_and_marks_in_records_are_read_like_files(
    tmp_path: Path, read_source: Callable[..., tuple[list[Sample], dict[str, str]]]
) -> None:
    book = notebook(cell("code", "x = 1")).decode()
    rows = [
        {"path": "a.ipynb", "content": book},
        {"path": "b.py", "content": "\ufeffy = 2\n"},
        {"path": "c.py", "content": LFS},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    samples, unusable = read_source(tmp_path / "a.jsonl")
    assert [each.content for each in samples] == ["x = 1\n", "y = 2\n"]
    assert list(unusable.values()) == ["Git LFS pointer"]
