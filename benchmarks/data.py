"""Data preparation against plain ``datasets.map`` with the same work: files/s, MB/s, peak memory.

    python benchmarks/data.py                      # 2,000 files of this environment's packages
    python benchmarks/data.py --files 10000 --folder ~/src --processes 8

Both read every file, run the same filters on it (one ``FilterPipeline`` per process) and keep the findings.
Ours also finds duplicates, splits the data and writes the manifest; ``datasets.map`` does not. Memory is the
peak proportional set size of the process and its children. The last line compares ours on four times as much
data. Each side runs in a process of its own, and each corpus was read once before, so that neither waits for
the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = {"source": ".", "license": "MIT", "filters": {"licenses": "any", "vendored": False}}


def ours(folder: Path, work: Path, processes: int) -> int:
    """Prepares a directory, from its files to the manifest; returns the number of files kept."""
    from starfreight.console import Console
    from starfreight.data_manifest import DataManifest
    from starfreight.jobs.data.manifest.build_manifest import build_manifest
    from starfreight.recipe.data import Data

    data = [Data.model_validate_json(json.dumps(RULES))]
    build_manifest(data, [folder], folder, work, Console(quiet=True), processes)
    (summary,) = DataManifest.load(work / "manifest.json").sources
    return summary.train.samples + summary.held_out.samples


def plain(folder: Path, work: Path, processes: int) -> int:
    """Examines each file with ``datasets.map``; returns the number of files kept."""
    import datasets

    datasets.disable_progress_bars()
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))
    table = datasets.Dataset.from_dict({"name": names})
    found = table.map(
        examine_row,
        num_proc=processes,
        fn_kwargs={"folder": str(folder)},
        cache_file_name=str(work / "found.arrow"),
    )
    return sum(reason is None for reason in found["rejected_by"])


_pipelines: dict[str, Any] = {}


def examine_row(row: dict[str, Any], folder: str) -> dict[str, Any]:
    """The result of the FilterPipeline for a file, as columns."""
    import dataclasses

    from starfreight.files import sha256_bytes
    from starfreight.jobs.data.filters.pipeline import FilterPipeline
    from starfreight.jobs.data.sources.interface import Sample
    from starfreight.recipe.data import Data

    if folder not in _pipelines:
        _pipelines[folder] = FilterPipeline(Data.model_validate_json(json.dumps(RULES)), Path(folder))
    content = (Path(folder) / row["name"]).read_bytes()
    sample = Sample(
        row["name"], content.decode(errors="replace"), sha256_bytes(content), len(content), path=row["name"]
    )
    found = dataclasses.asdict(_pipelines[folder].run(sample))
    return {**found, "replaced": json.dumps(found["replaced"])}


SIDES = {"ours": ours, "datasets.map": plain}


def measure(side: str, folder: Path, processes: int) -> dict[str, float]:
    """Runs a side in a process of its own; returns seconds, peak memory in MB, and files kept."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, str(Path(__file__).resolve()), "--side", side, "--folder", str(folder),
                   "--work", work, "--processes", str(processes)]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_memory, _family(process.pid))))
            time.sleep(0.05)
        assert process.stdout is not None
        said = process.stdout.read()
        if process.returncode != 0:
            raise SystemExit(f"{side} failed")
    return {**json.loads(said.splitlines()[-1]), "memory": peak / 1e6}


def _family(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rsplit(") ", 1)[1].split()[1])
    family = [root]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _memory(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def gather_corpus(source: Path, out: Path, count: int) -> tuple[int, int]:
    """Copies ``count`` Python files, evenly spread over a directory; returns their number and bytes."""
    from starfreight.jobs.data.sources.text_files import MAX_FILE_BYTES

    paths = sorted(path for path in source.rglob("*.py") if 0 < path.stat().st_size <= MAX_FILE_BYTES)
    step = max(1, len(paths) // count)
    size = 0
    chosen = [paths[number] for number in range(0, len(paths), step)][:count]
    for number, path in enumerate(chosen):
        copy = out / f"part_{number // 500:04}" / f"{number:06}_{path.name.lstrip('.')}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        size += copy.stat().st_size
    return len(chosen), size


def main() -> None:
    """Prints the comparison."""
    from starfreight.jobs.data.worker_pool import usable_processors

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_paths()["purelib"]))
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=usable_processors())
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        began = time.monotonic()
        kept = SIDES[options.side](options.folder, options.work, options.processes)
        print(json.dumps({"seconds": time.monotonic() - began, "kept": kept}))
        return
    with tempfile.TemporaryDirectory() as place:
        corpora = []
        for factor in (1, 4):
            folder = Path(place) / f"x{factor}"
            folder.mkdir()
            corpora.append((folder, *gather_corpus(options.folder, folder, options.files * factor)))
        folder, count, size = corpora[0]
        print(f"{count:,} files, {size / 1e6:.1f} MB, {options.processes} processes")
        print(f"{'':14} {'files/s':>9} {'MB/s':>7} {'seconds':>8} {'peak MB':>8} {'kept':>8}")
        figures = {}
        for side in SIDES:
            figures[side] = found = measure(side, folder, options.processes)
            print(f"{side:14} {count / found['seconds']:9,.0f} {size / found['seconds'] / 1e6:7.2f} "
                  f"{found['seconds']:8.1f} {found['memory']:8.0f} {found['kept']:8,.0f}")  # fmt: skip
        first, second = figures["ours"], figures["datasets.map"]
        print(f"ratio: {second['seconds'] / first['seconds']:.2f} times as fast, with "
              f"{first['memory'] / second['memory']:.2f} of the memory")  # fmt: skip
        folder, more, size = corpora[1]
        found = measure("ours", folder, options.processes)
        print(f"ours, {more:,} files, {size / 1e6:.1f} MB: {more / found['seconds']:,.0f} files/s, "
              f"peak {found['memory']:.0f} MB; {more / count:.1f} times the files, "
              f"{found['memory'] / first['memory']:.2f} times the memory")  # fmt: skip


if __name__ == "__main__":
    main()
