"""The record of GPU faults, and what the next attempt does with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GpuFault
from starfreight.jobs.backends.docker.gpus import GpuSupport, gpu_request, sick_in_words
from starfreight.jobs.backends.local.gpus import without_sick_gpus
from starfreight.jobs.gpu import fault_record
from starfreight.jobs.gpu.devices import Gpu, list_gpus, read_list
from starfreight.jobs.gpu.fault_record import (
    FAULTS_FILE,
    in_words,
    read_faults,
    refuse_sick_gpu,
    report_fault,
    sick_gpus,
)
from starfreight.jobs.gpu.faults import GpuFaultWords
from starfreight.jobs.protocol.events import receive

CERTAIN = GpuFaultWords("CUDA error: uncorrectable ECC error encountered", True)
SUSPECTED = GpuFaultWords("CUDA error: an illegal memory access was encountered", False)
ALL = [Gpu("GPU-a"), Gpu("GPU-b"), Gpu("GPU-c")]


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Gives this machine an ``nvidia-smi`` with the given output."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")

    def write(output: str) -> None:
        program = bin_folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
        program.chmod(0o755)

    yield write


class TestList:
    def test_uncorrected_errors_are_counted_per_gpu(self) -> None:
        said = "GPU-5c1b-1, 0\nGPU-5c1b-2, 3\nGPU-5c1b-3, [N/A]\n"
        assert read_list(said) == [Gpu("GPU-5c1b-1"), Gpu("GPU-5c1b-2", 3), Gpu("GPU-5c1b-3")]

    @pytest.mark.parametrize("said", ["", "No devices were found", "GPU-a", "\0", "GPU-a, 1, 2", '"GPU-a'])
    def test_other_output_has_none(self, said: str) -> None:
        assert read_list(said) == []

    def test_a_machine_without_the_program_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        assert list_gpus() == []


class TestRecord:
    def test_a_fault_is_an_error_with_the_gpu_the_node_and_the_words(
        self, tmp_path: Path, smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        smi("GPU-a, 0\nGPU-b, 2")
        monkeypatch.setenv("STARFREIGHT_NODE", "node-7")
        error = report_fault(tmp_path, CERTAIN)
        assert isinstance(error, GpuFault)
        assert error.exit_code == 71
        assert error.where == "GPU-b on node-7"
        (fault,) = read_faults(tmp_path)
        assert (fault.node, fault.gpus, fault.certain) == ("node-7", ("GPU-b",), True)
        assert in_words(fault).startswith("GPU-b on node-7, 20")
        assert list(sick_gpus(tmp_path)) == ["GPU-b"]
        # The event fits the termination message of a pod: 2,048 bytes.
        line = json.dumps({"event": "error", **error.as_dict()})
        assert len(line) < 1024
        assert receive(line) is not None

    def test_a_machine_that_has_restarted_since_is_trusted_again(
        self, tmp_path: Path, smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        smi("GPU-b, 2")
        report_fault(tmp_path, CERTAIN)
        monkeypatch.setattr(fault_record, "boot_id", lambda: "another boot")
        assert sick_gpus(tmp_path) == {}

    def test_a_suspected_fault_on_two_gpus_is_the_programs(
        self, tmp_path: Path, smi: Callable[[str], None]
    ) -> None:
        smi("GPU-a, 1")
        assert report_fault(tmp_path, SUSPECTED) is not None
        assert report_fault(tmp_path, SUSPECTED) is not None, "the same GPU again tells nothing"
        smi("GPU-b, 1")
        assert report_fault(tmp_path, SUSPECTED) is None
        assert report_fault(tmp_path, CERTAIN) is not None

    def test_the_record_keeps_the_last_twenty(self, tmp_path: Path, smi: Callable[[str], None]) -> None:
        smi("GPU-a, 1")
        for _ in range(25):
            report_fault(tmp_path, CERTAIN)
        assert len(read_faults(tmp_path)) == 20

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"version": 1, "faults": [{}]}', '{"version": 9}', "\0" * 99999]
    )
    def test_a_spoilt_record_counts_as_none_and_is_replaced(
        self, tmp_path: Path, smi: Callable[[str], None], text: str
    ) -> None:
        smi("GPU-a, 1")
        (tmp_path / FAULTS_FILE).write_text(text)
        assert read_faults(tmp_path) == ()
        assert report_fault(tmp_path, CERTAIN) is not None
        assert len(read_faults(tmp_path)) == 1

    def test_a_directory_that_cannot_be_written_does_not_hide_the_fault(self, tmp_path: Path) -> None:
        assert report_fault(tmp_path / "gone", CERTAIN) is not None


class TestNextAttempt:
    def test_a_pod_with_the_gpu_that_failed_ends_at_once(
        self, tmp_path: Path, smi: Callable[[str], None]
    ) -> None:
        smi("GPU-a, 0\nGPU-b, 2")
        report_fault(tmp_path, CERTAIN)
        with pytest.raises(GpuFault, match="has the GPU that failed at"):
            refuse_sick_gpu(tmp_path)
        smi("GPU-a, 0")
        refuse_sick_gpu(tmp_path)

    def test_a_suspected_fault_does_not_refuse_a_pod(
        self, tmp_path: Path, smi: Callable[[str], None]
    ) -> None:
        smi("GPU-b, 2")
        report_fault(tmp_path, SUSPECTED)
        refuse_sick_gpu(tmp_path)

    def test_nor_does_one_of_yesterday(
        self, tmp_path: Path, smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        smi("GPU-b, 2")
        monkeypatch.setattr(fault_record, "now", lambda: "2026-01-01T00:00:00Z")
        report_fault(tmp_path, CERTAIN)
        refuse_sick_gpu(tmp_path)

    @pytest.mark.parametrize(
        ("wanted", "sick", "chosen"),
        [
            (None, {"GPU-b"}, {"device_ids": ["GPU-a", "GPU-c"]}),
            (2, {"GPU-a"}, {"device_ids": ["GPU-b", "GPU-c"]}),
            (1, {"GPU-a"}, {"device_ids": ["GPU-b"]}),
            (3, {"GPU-a"}, {"count": 3}),  # Not enough others.
            (None, {"GPU-a", "GPU-b", "GPU-c"}, {"count": -1}),
            (None, {"GPU-of-another-machine"}, {"count": -1}),
            ((0, 1), {"GPU-a"}, {"device_ids": ["0", "1"]}),  # The user's choice.
        ],
    )
    def test_a_container_gets_the_other_gpus(
        self, wanted: Any, sick: set[str], chosen: dict[str, Any]
    ) -> None:
        (request,) = gpu_request(wanted, GpuSupport(True, True), sick, lambda: ALL)
        assert request == {"capabilities": [["gpu"]], **chosen}

    def test_it_says_which_one_is_left_out_or_taken(self, tmp_path: Path, smi: Callable[[str], None]) -> None:
        smi("GPU-b, 2")
        report_fault(tmp_path, CERTAIN)
        sick = sick_gpus(tmp_path)
        (left_out,) = sick_in_words(sick, [{"device_ids": ["GPU-a"]}])
        assert left_out.startswith("left out: GPU-b failed at 20")
        (taken,) = sick_in_words(sick, [{"count": -1}])
        assert "may get a sick GPU" in taken

    def test_a_process_does_not_see_the_gpu_that_failed(
        self, tmp_path: Path, smi: Callable[[str], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        smi("GPU-a, 0\nGPU-b, 2")
        assert without_sick_gpus({}, tmp_path, Console()) == {}
        report_fault(tmp_path, CERTAIN)
        assert without_sick_gpus({"A": "b"}, tmp_path, Console()) == {
            "A": "b",
            "CUDA_VISIBLE_DEVICES": "GPU-a",
        }
        assert "Left out: GPU-b" in capsys.readouterr().err
        chosen = {"CUDA_VISIBLE_DEVICES": "1"}
        assert without_sick_gpus(chosen, tmp_path, Console()) == chosen
        smi("GPU-b, 2")
        assert without_sick_gpus({}, tmp_path, Console()) == {}, "the only one is taken again"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("CUDA error: uncorrectable ECC error encountered", 71),
        ("CUDA error: an illegal memory access was encountered", 71),
        ("CUDA error: device-side assert triggered", 1),
    ],
)
def test_the_training_program_exits_with_the_code_of_the_fault(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    message: str,
    code: int,
) -> None:
    """The GPU is imitated where a driver would raise: in the job itself."""
    from starfreight.jobs.train import __main__ as program
    from starfreight.jobs.train import torchrun, training_job

    def fail(*arguments: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(training_job, "run_job", fail)
    monkeypatch.setattr(torchrun, "process_count", lambda run: 1)
    monkeypatch.setattr("starfreight.run.Run.load", lambda folder: None)
    assert program.main([str(tmp_path)]) == code
    (error,) = [
        event
        for line in capsys.readouterr().out.splitlines()
        if (event := receive(line)) is not None and event["event"] == "error"
    ]
    assert (error["kind"] == "GpuFault") == (code == 71)
    assert len(read_faults(tmp_path)) == (code == 71)
