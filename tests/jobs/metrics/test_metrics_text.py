"""Metrics of runs, read back by Prometheus' own parsers."""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from starfreight.cli import main
from starfreight.jobs.metrics.exposition import Family, Sample, exposition
from starfreight.jobs.metrics.samples import samples_of_output

GOLDEN = Path(__file__).parents[2] / "golden" / "finished-runs"
RUN = "golden-fim-de8303b786"
ROOT = Path(__file__).resolve().parents[3]
GAUGE = Family("a_gauge", "gauge", "With a \\ and\na line.")
COUNTER = Family("a_size_bytes", "counter", "Bytes.", "bytes")
LABELS = ['"', "\\", "\n", "\\n", "é", "\u2028", "\x7f", "}", ",a=", "\ud800", " "]


def values(text: str) -> dict[tuple[str, str], float]:
    """The samples of an OpenMetrics text by name and run."""
    return {
        (sample.name, sample.labels.get("run", "") + sample.labels.get("status", "")): sample.value
        for family in read_openmetrics(text)
        for sample in family.samples
    }


class TestText:
    @pytest.mark.parametrize("value", [0, 1, -1.5, 1e300, 2.5e-9, 2**53, 3.0, math.inf, -math.inf, math.nan])
    def test_numbers_are_the_same_when_read(self, value: float) -> None:
        for form, read in (("openmetrics", read_openmetrics), ("prometheus", read_prometheus)):
            (family,) = read(exposition([Sample(GAUGE, value)], form))  # type: ignore[arg-type]
            (sample,) = family.samples
            assert sample.value == value or (math.isnan(value) and math.isnan(sample.value))

    def test_any_label_is_read_as_it_was(self) -> None:
        samples = [Sample(GAUGE, number, {"run": f"x{label}"}) for number, label in enumerate(LABELS)]
        for form, read in (("openmetrics", read_openmetrics), ("prometheus", read_prometheus)):
            (family,) = read(exposition(samples, form))  # type: ignore[arg-type]
            found = {sample.labels["run"]: sample.value for sample in family.samples}
            assert found == {f"x{label}".replace("\ud800", "?"): n for n, label in enumerate(LABELS)}

    def test_counters_and_units_are_named_as_each_format_asks(self) -> None:
        samples = [Sample(COUNTER, 3, {"run": "a", "variant": ""}), Sample(GAUGE, 1)]
        text = exposition(samples, "openmetrics")
        assert "# TYPE a_size_bytes counter\n# UNIT a_size_bytes bytes\n" in text
        assert 'a_size_bytes_total{run="a"} 3\n' in text
        assert text.endswith("# EOF\n")
        assert [family.type for family in read_openmetrics(text)] == ["counter", "gauge"]
        older = exposition(samples, "prometheus")
        assert "# TYPE a_size_bytes_total counter" in older
        assert "EOF" not in older
        assert [family.type for family in read_prometheus(older)] == ["counter", "gauge"]

    def test_a_series_comes_once_and_its_metric_in_one_group(self) -> None:
        samples = [Sample(GAUGE, 1, {"a": "1"}), Sample(COUNTER, 1), Sample(GAUGE, 2, {"a": "1"})]
        text = exposition(samples, "openmetrics")
        assert text.count("a_gauge{") == 1
        assert 'a_gauge{a="1"} 2' in text

    def test_nothing_is_an_empty_text(self) -> None:
        assert exposition([], "openmetrics") == "# EOF\n"
        assert exposition([], "prometheus") == ""


class TestCommand:
    def test_a_finished_run_has_its_last_figures(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "metrics", "--runs", str(GOLDEN)]) == 0
        found = values(capsys.readouterr().out)
        last = json.loads((GOLDEN / RUN / "metrics.jsonl").read_text().splitlines()[-1])
        rows = [json.loads(line) for line in (GOLDEN / RUN / "metrics.jsonl").read_text().splitlines()]
        losses = [row["loss"] for row in rows if "loss" in row]
        assert found["starfreight_training_step", RUN] == last["step"] == 12
        assert found["starfreight_training_loss", RUN] == losses[-1]
        assert found["starfreight_training_tokens_total", RUN] == 3072
        assert found["starfreight_run_status", f"{RUN}done"] == 1
        assert found["starfreight_run_status", f"{RUN}failed"] == 0
        assert (
            found["starfreight_runs_disk_size_bytes", ""] > found["starfreight_runs_disk_free_bytes", ""] > 0
        )

    def test_a_file_of_the_textfile_collector_has_the_older_format_and_is_replaced_whole(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "starfreight.prom"
        path.write_text("old")
        held = path.open()
        assert main(["jobs", "metrics", RUN, "--runs", str(GOLDEN), "--file", str(path)]) == 0
        assert held.read() == "old", "a reader of the old file never sees half of the new one"
        held.close()
        families = {family.name: family for family in read_prometheus(path.read_text())}
        assert families["starfreight_training_tokens"].type == "counter"
        assert "# EOF" not in path.read_text()
        assert list(tmp_path.iterdir()) == [path]
        assert "Metrics written to" in capsys.readouterr().out
        other = tmp_path / "metrics.txt"
        assert main(["jobs", "metrics", RUN, "--runs", str(GOLDEN), "--file", str(other)]) == 0
        assert list(read_openmetrics(other.read_text()))

    def test_a_run_that_others_have_spoilt_does_not_hide_the_rest(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.copytree(GOLDEN / RUN, tmp_path / RUN)
        with (tmp_path / RUN / "metrics.jsonl").open("a") as rows:
            rows.write(
                '{"step": 13, "loss": NaN, "tokens": -5, "memory": 1e999}\n{"step": 14, "loss": "x"}\n[1]\n{'
            )
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad/run.json").write_text("{")
        assert main(["jobs", "metrics", "--runs", str(tmp_path)]) == 0
        shown = capsys.readouterr()
        found = values(shown.out)
        assert math.isnan(found["starfreight_training_loss", RUN])
        assert ("starfreight_training_tokens_total", RUN) not in found
        assert "bad is left out" in shown.err
        assert main(["jobs", "metrics", "bad", "--runs", str(tmp_path)]) == 2

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--every", "5s"), ("--every", "soon", "--file", "x"), ("--push", "ftp://x"), ("--push", "http://"),
            ("--push", "http://me:secret@host"), ("--push", "http://host:port"), ("--push", "host:9091"),
            ("--push", "http://host/?a=b"), ("--on", "kubernetes"), ("no-such-run",),
        ],
    )  # fmt: skip
    def test_a_wrong_command_is_one_error(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "metrics", "--runs", str(GOLDEN), *arguments]) == 2
        assert "secret" not in capsys.readouterr().err

    def test_it_repeats_until_interrupted(self, tmp_path: Path) -> None:
        path = tmp_path / "m.prom"
        command = [sys.executable, "-m", "starfreight", "jobs", "metrics", "--runs", str(GOLDEN)]
        process = subprocess.Popen(
            [*command, "--file", str(path), "--every", "1s"], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        end = time.monotonic() + 30
        seen: set[int] = set()
        while len(seen) < 2 and time.monotonic() < end:
            if path.exists():
                seen.add(path.stat().st_ino)
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert len(seen) == 2
        assert process.returncode == 130
        assert "Traceback" not in said


class Gateway:
    """A Pushgateway: keeps the text of each group, and answers with a status."""

    def __init__(self) -> None:
        self.groups: dict[str, str] = {}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.endless = False
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                gateway.groups[self.path] = text
                self.send_response(gateway.status)
                for name, value in gateway.headers.items():
                    self.send_header(name, value)
                if not gateway.endless:
                    self.send_header("Content-Length", "0")
                self.end_headers()
                with contextlib.suppress(OSError):  # The client has read enough.
                    while gateway.endless:
                        self.wfile.write(b"x" * 65_536)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def gateway(plain_environment: None) -> Iterator[Gateway]:
    """A running Pushgateway."""
    made = Gateway()
    yield made
    made.server.shutdown()
    made.server.server_close()


class TestPush:
    def test_each_run_is_a_group(self, gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "metrics", "--runs", str(GOLDEN), "--push", gateway.url]) == 0
        runs = {path.name for path in GOLDEN.iterdir() if (path / "run.json").exists()}
        assert set(gateway.groups) == {"/metrics/job/starfreight"} | {
            f"/metrics/job/starfreight/run/{run}" for run in runs
        }
        for path, text in gateway.groups.items():
            labels = [sample.labels for family in read_prometheus(text) for sample in family.samples]
            assert labels
            assert all(each.get("run", "") == (path.partition("/run/")[2]) for each in labels)
        assert "groups sent to the Pushgateway" in capsys.readouterr().out

    @pytest.mark.parametrize("status", [400, 404, 302])
    def test_a_refusal_is_an_error_of_the_service(
        self, gateway: Gateway, status: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gateway.status, gateway.headers = status, {"Location": "http://127.0.0.1:1/"}
        assert main(["jobs", "metrics", RUN, "--runs", str(GOLDEN), "--push", gateway.url]) == 4
        assert f"status {status}" in capsys.readouterr().err

    def test_an_answer_without_end_is_not_read_to_its_end(
        self, gateway: Gateway, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gateway.status, gateway.endless = 500, True
        assert main(["jobs", "metrics", RUN, "--runs", str(GOLDEN), "--push", gateway.url]) == 4
        assert "status 500: x" in capsys.readouterr().err

    def test_a_gateway_that_is_not_there_is_an_error_of_the_service(
        self, plain_environment: None, free_port: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        address = f"http://127.0.0.1:{free_port()}"
        assert main(["jobs", "metrics", RUN, "--runs", str(GOLDEN), "--push", address]) == 4
        assert "does not answer" in capsys.readouterr().err


def test_the_output_of_a_pod_has_the_figures_of_its_run() -> None:
    events: list[dict[str, Any]] = [
        {"event": "run", "id": "acme-rank-4-0123456789"},
        {"event": "disk", "total": 1000, "free": 100},
        {"event": "plan", "steps": 20, "done": 4},
        {"event": "step", "step": 5, "loss": 2.5, "tokens_per_second": 100.0},
        {"event": "checkpoint", "step": 4},
        {"event": "measured", "when": "after", "loss": 2.25, "exact_match": None},
    ]
    lines = ["a library's line", *(json.dumps(event) for event in events)]
    samples = list(samples_of_output(lines, {"run": "job", "variant": "3"}))
    found = {sample.family.name: sample.value for sample in samples}
    assert found == {
        "starfreight_training_step": 5,
        "starfreight_training_loss": 2.5,
        "starfreight_training_held_out_loss": 2.25,
        "starfreight_training_tokens_per_second": 100,
        "starfreight_training_steps": 20,
        "starfreight_training_checkpoint_step": 4,
        "starfreight_runs_disk_free_bytes": 100,
        "starfreight_runs_disk_size_bytes": 1000,
    }
    assert dict(samples[0].labels) == {
        "run": "acme-rank-4-0123456789", "recipe": "acme-rank-4", "variant": "3",
    }  # fmt: skip
    assert list(samples_of_output(["", "{"], {})) == []


def test_the_command_imports_little() -> None:
    """The textfile is written every few seconds."""
    code = (
        "import sys; from starfreight.cli import main; "
        f"main(['jobs', 'metrics', '--runs', {str(GOLDEN)!r}, '-q']); "
        "print([name for name in ('torch', 'transformers', 'docker', 'kubernetes') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
