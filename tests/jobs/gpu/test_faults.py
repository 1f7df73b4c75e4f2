"""Words of faults, as the driver, torch, NCCL and the kernel write them."""

from __future__ import annotations

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.worker_pool import WorkerError
from starfreight.jobs.gpu.faults import fault_of, gpu_fault, xids

TORCH = """CUDA error: {}
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace may be wrong.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""


@pytest.mark.parametrize(
    "text",
    [
        TORCH.format("uncorrectable ECC error encountered"),
        TORCH.format("uncorrectable NVLink error detected during the execution"),
        TORCH.format("CUDA-capable device(s) is/are busy or unavailable"),
        TORCH.format("no CUDA-capable device is detected"),
        TORCH.format("hardware stack error"),
        TORCH.format("system not yet initialized"),
        "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized",
        "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  Reboot the system",
        "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        "[Fri Aug 30 11:43:09] NVRM: Xid (PCI:0000:cb:00): 48, pid=123, name=python, DBE (double bit error)",
        "NVRM: Xid (PCI:0000:cb:00): 95, pid=9, name=python, Uncontained: FBHUB",
        "NVRM: Xid (PCI:0000:18:00): 119, Timeout waiting for RPC from GSP!",
        "torch.AcceleratorError: CUDA error: cudaErrorECCUncorrectable",
    ],
)
def test_these_are_certainly_faults_of_the_machine(text: str) -> None:
    fault = gpu_fault(text)
    assert fault is not None
    assert fault.certain


@pytest.mark.parametrize(
    "text",
    [
        TORCH.format("an illegal memory access was encountered"),
        TORCH.format("unspecified launch failure"),
        TORCH.format("unknown error"),
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
        "NVRM: Xid (PCI:0000:3b:00): 999, a number of a later driver",
    ],
)
def test_these_may_be_faults_of_the_program(text: str) -> None:
    fault = gpu_fault(text)
    assert fault is not None
    assert not fault.certain
    assert not fault.of_the_group


@pytest.mark.parametrize(
    "text",
    [
        "",
        TORCH.format("device-side assert triggered"),
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139 GiB",
        TORCH.format("no kernel image is available for execution on the device"),
        TORCH.format("invalid device ordinal"),
        "NVRM: Xid (PCI:0000:3b:00): 13, Graphics SM Warp Exception",
        "NVRM: Xid (PCI:0000:3b:00): 31, pid=1, MMU Fault",
        "NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: New row marked for remapping",
        "an event of the cluster: 3 Insufficient nvidia.com/gpu",
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting.",
        "loss is NaN",
    ],
)
def test_these_are_not(text: str) -> None:
    assert gpu_fault(text) is None


def test_an_assertion_on_the_device_decides_over_the_memory_access_that_follows_it() -> None:
    """Every later call of CUDA fails in some words, too."""
    texts = "CUDA error: device-side assert triggered\nCUDA error: unspecified launch failure"
    assert gpu_fault(texts) is None


def test_a_certain_fault_decides_over_what_follows_it() -> None:
    fault = gpu_fault("CUDA error: an illegal memory access was encountered\nXid (PCI:0000:01:00): 79, lost")
    assert fault is not None
    assert fault.words.startswith("Xid")


def test_nccl_says_it_of_this_machine() -> None:
    said = (
        "NCCL error in: ProcessGroupNCCL.cpp:77, unhandled system error (run with NCCL_DEBUG=INFO), "
        "NCCL version 2.27.5\nncclSystemError: System call (e.g. socket, malloc) or library call failed"
    )
    fault = gpu_fault(said)
    assert fault is not None
    assert fault.of_the_group
    assert not fault.certain


def test_an_exception_is_read_with_the_one_it_was_raised_from() -> None:
    try:
        try:
            raise RuntimeError(TORCH.format("uncorrectable ECC error encountered"))
        except RuntimeError as error:
            raise ValueError("no batch") from error
    except ValueError as wrapped:
        found = fault_of(wrapped)
    assert found is not None
    assert found.words == "CUDA error: uncorrectable ECC error encountered"


def test_other_errors_may_quote_these_words() -> None:
    """E.g. a file of a data source with such a line."""
    assert fault_of(InputError("bad line 'uncorrectable ECC error encountered'")) is None
    assert fault_of(KeyError("fallen off the bus")) is None
    assert fault_of(WorkerError("ParserError: expected a name, not 'CUDA error: GPU is lost'")) is None
    assert fault_of(RecursionError("CUDA error: GPU is lost")) is None


def test_errors_of_torch_are_read_by_any_name() -> None:
    kind = type("AcceleratorError", (RuntimeError,), {"__module__": "torch"})
    assert fault_of(kind(TORCH.format("uncorrectable ECC error encountered"))) is not None


def test_words_are_short() -> None:
    fault = gpu_fault("GPU is lost " + "x" * 5000)
    assert fault is not None
    assert len(fault.words) == 300


def test_xids_are_read_from_several_formats() -> None:
    log = "NVRM: Xid (PCI:0000:01:00): 13, pid=1\nNVRM: Xid (0000:03:00): 79\nNVRM: Xid 0000:01: nothing"
    assert xids(log) == [13, 79]
