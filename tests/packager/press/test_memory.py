"""How much memory a press takes: no more for a large model than for a small one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.checkpoint import read_config
from starfreight.checkpoint.layout import expected_tensors

PRESS = """
import re, sys, threading, time
from pathlib import Path
from starfreight.packager.press import PressRequest, press
from starfreight.console import Console
most = 0
def look():
    global most
    while True:
        most = max(most, int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
        time.sleep(0.005)
threading.Thread(target=look, daemon=True).start()
base, adapter, out, merge_base = sys.argv[1:]
request = PressRequest(
    Path(base), Path(adapter), ("Q4_0", "Q8_0"), Path(out), "m", threads=2, merge_base=merge_base
)
press(request, Console(quiet=True))
print(most)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the anonymous memory")
def test_memory_does_not_grow_with_the_model(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    def megabytes(name: str, hidden: int, ffn: int, layers: int, merge_base: str = "original") -> float:
        # True shapes; the weights are a hole in the file, which takes no room on the disk.
        base = make_checkpoint(tmp_path / name, hidden=64, ffn=64, layers=1)
        config = json.loads((base / "config.json").read_text())
        config |= {"hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers}
        (base / "config.json").write_text(json.dumps(config))
        header, end = {}, 0
        for tensor, shape in expected_tensors(read_config(base / "config.json")).items():
            start, end = end, end + 2 * shape[0] * (shape[1] if len(shape) == 2 else 1)
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        raw = json.dumps(header).encode()
        with (base / "model.safetensors").open("wb") as stream:
            stream.write(len(raw).to_bytes(8, "little") + raw)
            stream.truncate(8 + len(raw) + end)
        adapter = make_adapter(
            tmp_path / f"{name}-adapter", {"model.layers.0.mlp.c_fc.weight": (ffn, hidden)}
        )
        done = subprocess.run(
            [sys.executable, "-c", PRESS, base, adapter, tmp_path / f"{name}-out", merge_base],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path.cwd())},
            check=True,
        )
        return int(done.stdout) / 1024

    small = megabytes("3b-1", 3072, 12288, 1)
    large = megabytes("7b-1", 4608, 18432, 1)
    four_bits = megabytes("3b-1-nf4", 3072, 12288, 1, "nf4_roundtrip")
    assert small < 200
    assert large < small + 16
    assert four_bits < small + 64
