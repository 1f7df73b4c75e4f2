"""Makes the screenshots of the documentation, in Chromium, from real pages.

    starfreight quickstart --out /tmp/quickstart
    python tools/docs/pictures.py /tmp/quickstart docs/pictures

writes ``report.png``, ``comparison.png`` and ``data.png``, each of 256 colours.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_WIDTH, _HEIGHT = 1200, 900


def make_pictures(quickstart: Path, target: Path) -> None:
    """Screenshots of a run's report, of the comparison of its models, and of the sample data.

    Args:
        quickstart: the output directory of ``starfreight quickstart``.
        target: where the pictures go.
    """
    (run,) = (path.parent for path in quickstart.glob("runs/*/run.json"))
    target.mkdir(parents=True, exist_ok=True)
    starfreight = Path(sys.executable).with_name("starfreight")
    with tempfile.TemporaryDirectory() as place:
        pages = {"report": run / "report.html", "comparison": quickstart / "comparison.html"}
        pages["data"] = Path(place, "data.html")
        recipe = Path(place, "my-model/recipe.yaml")
        for words in (["init", recipe.parent, "-q"], ["data", "inspect", recipe, "--html", pages["data"]]):
            subprocess.run([starfreight, *words], check=True, stdout=subprocess.DEVNULL)
        for name, page in pages.items():
            screenshot(page.resolve().as_uri(), Path(place, "shot.png"), _WIDTH, _HEIGHT)
            _fewer_colours(Path(place, "shot.png"), target / f"{name}.png")


def screenshot(address: str, target: Path, width: int, height: int, *, dark: bool = False) -> None:
    """The page as Chromium without a window shows it.

    Raises:
        SystemExit: no Chromium is installed.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Install chromium.")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={profile}", f"--window-size={width},{height}", "--virtual-time-budget=4000",
             *(["--blink-settings=preferredColorScheme=0"] if dark else []),
             f"--screenshot={target}", address],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=180,
        )  # fmt: skip


def _fewer_colours(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as image:
        image.convert("RGB").quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]), Path(sys.argv[2]))
