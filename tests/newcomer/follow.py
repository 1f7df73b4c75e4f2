"""Follows README.md and the tutorial literally, on a clean machine, and times each step.

    sudo .venv/bin/python tests/newcomer/follow.py
    sudo .venv/bin/python tests/newcomer/follow.py docs/tutorial.md --keep

The machine is a debootstrapped Debian with the packages that the pages name, without a network: pip
installs from a directory of wheels, which is filled first. Needs debootstrap, git, unshare, ip and
docker-registry. Exits with 1 if a step fails, if no package was verified or no code completed, or if it all
took more than an hour.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from machine import clean_machine, missing_tools
from pages import PAGES, ROOT, Step, steps_of
from terminal import Done, type_steps

HOUR = 3600.0
DIRECTORIES = {"README.md": "starfreight"}
"""Start directory by page: README.md in a clone; the other pages in an empty directory."""


def follow(pages: Sequence[Path], checkout: Path, *, keep: bool) -> list[str]:
    """Follows the pages, prints a table, and returns the problems."""
    began = time.monotonic()
    problems: list[str] = []
    done: list[Done] = []
    with clean_machine(checkout, keep=keep) as machine:
        prepared = time.monotonic() - began
        for page in pages:
            steps = steps_of(page)
            wanted = [step for step in steps if step.left_out is None]
            directory = DIRECTORIES.get(page.name, page.stem)
            typed = type_steps(machine, page.stem, wanted, directory, page.read_text())
            done += typed
            problems += problems_of(page, wanted, typed)
    _print_table(prepared, done, [step for page in pages for step in steps_of(page) if step.left_out])
    total = sum(each.seconds for each in done)
    if total > HOUR:
        problems.append(f"It took {total / 60:.0f} minutes, more than an hour.")
    return problems


def problems_of(page: Path, wanted: Sequence[Step], typed: Sequence[Done]) -> list[str]:
    """Complaints of a reader of the page."""
    finished = [each for each in typed if each.finished]
    if len(finished) < len(wanted):
        failed = wanted[len(finished)]
        return [f"{page.name}:{failed.line}: failed: {failed.typed.strip()}"]
    problems = []
    if not any(_verified(each) for each in finished):
        problems.append(f"{page.name}: no package was verified")
    if page.name != "README.md" and not any(_completed(each) for each in finished):
        problems.append(f"{page.name}: the served model completed nothing")
    return problems


def _verified(done: Done) -> bool:
    return "package verify" in done.step.script and "all digests match" in _plain(done.output)


def _completed(done: Done) -> bool:
    """The served model answered a request for the middle between two texts."""
    if "/infill" not in done.step.script:
        return False
    for found in re.finditer(r"\{", output := _plain(done.output)):
        try:
            answer, _ = json.JSONDecoder().raw_decode(output[found.start() :])
        except json.JSONDecodeError:
            continue
        if isinstance(answer, dict) and str(answer.get("content", "")).strip():
            return True
    return False


def _plain(output: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "")


def _print_table(prepared: float, done: Sequence[Done], left_out: Sequence[Step]) -> None:
    print("\n\n    time  step")
    print(f"{_clock(prepared)}  preparing the machine and the wheels (not counted)")
    for each in done:
        words = " ".join(each.step.typed.replace("\\\n", " ").split())
        state = "" if each.finished else "  FAILED"
        print(f"{_clock(each.seconds)}  {each.step.page}:{each.step.line}  {words[:80]}{state}")
    print(f"{_clock(sum(each.seconds for each in done))}  total")
    for step in left_out:
        print(f"    left out: {step.page}:{step.line}  {step.script.split(chr(10))[0]}  ({step.left_out})")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:5}:{rest:02}"


def main() -> int:
    """Runs the script; returns its exit code."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, default=list(PAGES), metavar="PAGE")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="checkout to follow [default: this one]")
    parser.add_argument("--keep", action="store_true", help="keep the machine's directory")
    options = parser.parse_args()
    if missing := missing_tools():
        parser.error(f"this needs {', '.join(missing)}")
    problems = follow(options.pages, options.checkout.resolve(), keep=options.keep)
    print("\n".join(["", *problems] if problems else ["", "A newcomer gets there."]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
