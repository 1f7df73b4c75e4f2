"""On a phone, pages are no wider than it, and no column is as narrow as a letter: measured in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from command_result import run_command

GOLDEN = Path(__file__).parents[2] / "golden"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
LONG = "LicenseRef-Acme-Corporation-Proprietary-Source-Code-For-Internal-Use-Only"
RECIPE = f"""
version: 1
name: long-names
base: {{model: "builtin:starter"}}
data:
  - source: ./code
    license: {LONG}
    format: code
    filters: {{near_duplicates: false}}
"""
MEASURE = """<!doctype html><body><iframe id="page" style="border:0;width:%dpx;height:900px"></iframe>
<pre id="found"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const found = [], width = %d;
  for (const each of frame.contentDocument.querySelectorAll("main *")) {
    const box = each.getBoundingClientRect(), card = each.closest(".card");
    if (!box.width || each.closest("svg")) continue;
    const name = each.tagName + "." + each.className + " " + each.textContent.slice(0, 20);
    if (box.right > width + 1) found.push("wide " + name);
    if (card && box.right > card.getBoundingClientRect().right + 1) found.push("out of its card " + name);
    if (/^T[DH]$/.test(each.tagName) && each.textContent.trim().length > 8 && box.width < 40)
      found.push("narrow " + name);
  }
  document.getElementById("found").textContent = "FOUND[" + found.slice(0, 9).join("; ") + "]END";
};
frame.src = "page.html";
</script></body>"""


def problems(page: Path, width: int) -> str:
    """The elements of a page that do not fit, as the browser lays it out."""
    page.with_name("measure.html").write_text(MEASURE % (width, width))
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--virtual-time-budget=4000", "--dump-dom", page.with_name("measure.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.findall(r'<pre id="found">FOUND\[(.*?)\]END', done.stdout, re.S)
    assert found, done.stdout[-500:] + done.stderr[-500:]
    return str(found[0])


@pytest.mark.nightly
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 390])
def test_a_comparison_of_many_settings_fits(tmp_path: Path, width: int) -> None:
    runs = sorted(path for path in (GOLDEN / "finished-runs").iterdir() if path.is_dir())
    done = run_command("jobs", "compare", *runs, "--html", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert problems(tmp_path / "page.html", width) == ""


@pytest.mark.nightly
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [360, 390])
def test_tables_of_data_with_long_names_stay_in_their_cards(tmp_path: Path, width: int) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "code").mkdir()
    for number in range(8):
        (tmp_path / f"code/file_{number}.py").write_text(
            f"def area_{number}(radius):\n    return radius\n" * 9
        )
    done = run_command("data", "inspect", tmp_path / "recipe.yaml", "--html", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    page = tmp_path / "page.html"
    page.write_text(re.sub(r"<td([^>]*)>(\d+)</td>", r"<td\1>1,234,567,890,123</td>", page.read_text()))
    assert problems(page, width) == ""
