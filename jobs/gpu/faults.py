"""Tells a fault of a GPU from a fault of the job, by the words of an error. Pure: no driver is asked.

    fault = gpu_fault("CUDA error: uncorrectable ECC error encountered")
    fault.certain  # True: another node or GPU will do

Sources of the words: ``cudaGetErrorString`` of the CUDA runtime
(https://docs.nvidia.com/cuda/cuda-runtime-api/, "Error handling" and "cudaError"), ``ncclGetErrorString``
(https://github.com/NVIDIA/nccl, ``src/init.cc``), and the kernel's ``NVRM: Xid (PCI:...): NUMBER``. Meanings
of Xids: https://docs.nvidia.com/deploy/xid-errors/, the catalogue of https://github.com/leptonai/gpud, and
the defaults of NVIDIA's device plugin for Kubernetes, which keeps a GPU after the Xids of applications.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 300

_CERTAIN = (
    "uncorrectable ECC error",  # cudaErrorECCUncorrectable
    "uncorrectable NVLink error",  # cudaErrorNvlinkUncorrectable
    "fallen off the bus",  # Xid 79, and nvidia-smi
    "GPU is lost",  # nvidia-smi, NVML_ERROR_GPU_IS_LOST
    "GPU requires reset",  # NVML_ERROR_RESET_REQUIRED
    "hardware stack error",  # cudaErrorHardwareStackError
    "Invalid access of peer GPU memory over nvlink or a hardware error",  # cudaErrorContained
    "no CUDA-capable device is detected",  # cudaErrorNoDevice
    "CUDA-capable device(s) is/are busy or unavailable",  # cudaErrorDevicesUnavailable
    "cudaErrorDevicesUnavailable",
    "cudaErrorECCUncorrectable",
    "system not yet initialized",  # cudaErrorSystemNotReady: NVSwitch's fabric manager does not run
    "CUDA driver initialization failed",  # cudaErrorInitializationError, in torch's words
    "CUDA driver version is insufficient",  # cudaErrorInsufficientDriver
    "unsupported display driver / cuda driver combination",  # cudaErrorSystemDriverMismatch
    "Found no NVIDIA driver",  # torch, in an image with CUDA
    "Driver/library version mismatch",  # NVML, after an upgrade of the driver without a restart
)
"""Words of faults of the machine: its GPU, its links, its driver."""

_SUSPECTED = (
    "an illegal memory access was encountered",  # cudaErrorIllegalAddress, Xid 13 and 31
    "unspecified launch failure",  # cudaErrorLaunchFailure
    "misaligned address",  # cudaErrorMisalignedAddress
    "an illegal instruction was encountered",  # cudaErrorIllegalInstruction
    "invalid program counter",  # cudaErrorInvalidPc
    "the launch timed out and was terminated",  # cudaErrorLaunchTimeout
    "CUDA error: unknown error",  # cudaErrorUnknown
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUBLAS_STATUS_INTERNAL_ERROR",
    "CUDNN_STATUS_EXECUTION_FAILED",
)
"""Words of faults of a GPU or of a kernel. The same code works elsewhere, or fails everywhere."""

_NCCL = ("unhandled system error", "ncclSystemError", "unhandled cuda error", "ncclUnhandledCudaError")
"""NCCL's words for a failure of this machine. It has others for one of another process."""

_OF_THE_JOB = (
    # An index out of range, e.g. a token id beyond the vocabulary. Torch's advice after any error of CUDA has
    # the first two words, too.
    "device-side assert triggered",
    "out of memory",
    "no kernel image is available",  # The image lacks code for this kind of GPU.
    "invalid device ordinal",
    "invalid configuration argument",
    "invalid argument",
)
"""Words of CUDA's errors that the recipe or the image causes. They decide, whatever else an error says."""

_XID = re.compile(r"\bXid \([^)\n]*\): (\d{1,3})\b")
_XIDS_OF_JOBS = frozenset((8, 13, 31, 32, 43, 45, 68, 69, 109, 137))
"""Xids that programs cause: exceptions, page faults, and the cleaning up after them."""
_XIDS_OF_GPUS = frozenset(
    (18, 46, 48, 61, 62, 64, 74, 79, 94, 95, 110, 119, 120, 121, 123, 140, 143, *range(144, 151), 155, 158,
     167, 169, 172, 173)
)  # fmt: skip
"""Xids of memory, links, controllers and the bus: the GPU needs a reset, a restart or a repair."""
_XIDS_HARMLESS = frozenset((63, 92, 154))
"""Reports beside a fault: a row was remapped, corrected errors are frequent, an action is recommended."""


@dataclass(frozen=True)
class GpuFaultWords:
    """A fault of a GPU, as an error words it.

    Attributes:
        words: the line that names the fault.
        certain: false if a fault of the program has the same words.
        of_the_group: true for NCCL's report that several processes may make after one of them failed.
    """

    words: str
    certain: bool
    of_the_group: bool = False


def gpu_fault(text: str) -> GpuFaultWords | None:
    """The fault of a GPU that a text names, e.g. an error's message or a log; ``None`` if it names none.

    A certain fault comes before a suspected one. Faults of the job hide the suspected ones.
    """
    lines = text.splitlines()
    for line in lines:
        if _is_certain(line):
            return GpuFaultWords(_short(line), True)
    if _first(lines, _OF_THE_JOB) is not None:
        return None
    suspected = _first(lines, _SUSPECTED) or next(filter(_has_unknown_xid, lines), None)
    if suspected is not None:
        return GpuFaultWords(_short(suspected), False)
    group = _first(lines, _NCCL)
    return None if group is None else GpuFaultWords(_short(group), False, True)


def fault_of(error: BaseException) -> GpuFaultWords | None:
    """The fault of a GPU behind an exception, also if a library has wrapped it."""
    seen: set[int] = set()
    each: BaseException | None = error
    texts = []
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        # Errors of the recipe, files and services quote other texts, which must not decide. Those of CUDA are
        # torch's own, or plain ones.
        kind = type(each)
        if kind is RuntimeError or (isinstance(each, RuntimeError) and kind.__module__.startswith("torch")):
            texts.append(str(each))
        each = each.__cause__ or each.__context__
    return gpu_fault("\n".join(texts))


def xids(text: str) -> list[int]:
    """Numbers of the Xids in lines of the kernel's log."""
    return [int(number) for number in _XID.findall(text)]


def _is_certain(line: str) -> bool:
    return _names(line, _CERTAIN) or any(number in _XIDS_OF_GPUS for number in xids(line))


def _has_unknown_xid(line: str) -> bool:
    return any(number not in _XIDS_OF_JOBS | _XIDS_HARMLESS | _XIDS_OF_GPUS for number in xids(line))


def _first(lines: list[str], words: tuple[str, ...]) -> str | None:
    return next((line for line in lines if _names(line, words)), None)


def _names(line: str, words: tuple[str, ...]) -> bool:
    lowered = line.lower()
    return any(word.lower() in lowered for word in words)


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
