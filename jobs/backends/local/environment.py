"""Environment of a job on this machine: listed variables only, so that no credential reaches it.

Names of variables with secrets are without number (``DATABASE_URL``, ``GITHUB_PAT``, ``DOCKER_AUTH_CONFIG``).
Those that the libraries of a job read are few, and each group has its reason here. Left out on purpose:
proxies and certificates, as a job fetches nothing; the variables of an outer torchrun (``LOCAL_RANK``,
``PET_*``), as a job starts its own processes; and those of schedulers, as ``SLURM_JWT`` is a credential.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from starfreight.directory_lock import LOCK_PATIENCE
from starfreight.jobs.protocol.environment import ENVIRONMENT, IMAGE_VARIABLE

_NAMES = frozenset(
    (
        # The user's programs and directories: compilers of kernels, caches, temporary files.
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ", "TERM",
        # Languages of messages and the encoding of file names.
        "LANG", "LANGUAGE",
        # Python's environment, which the libraries come from.
        "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
        # Shared libraries: CUDA outside the system's directories, another malloc.
        "LD_LIBRARY_PATH", "LD_PRELOAD",
        # Compilers, which Triton and torch call for kernels.
        "CC", "CXX", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "CUDACXX",
        # GPUs that the job may use. Not NVIDIA_*: NVIDIA_API_KEY is a credential.
        "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_TF32_OVERRIDE",
        "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
        # Caches of the hub's libraries. Not HF_*: HF_TOKEN is a credential.
        "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_MODULES_CACHE",
        "HF_DATASETS_IN_MEMORY_MAX_SIZE", "TRANSFORMERS_CACHE", "TRANSFORMERS_VERBOSITY",
        # Plots of the report.
        "MPLBACKEND", "MPLCONFIGDIR",
        # Starfreight's own. Not STARFREIGHT_*: STARFREIGHT_REGISTRY_PASSWORD is a credential.
        IMAGE_VARIABLE, LOCK_PATIENCE,
    )
)  # fmt: skip
_PREFIXES = (
    # Language of each category, and the user's directories: XDG_CACHE_HOME holds built indices.
    "LC_", "XDG_",
    # PYTHONPATH, PYTHONHASHSEED, PYTHONUTF8 and the other settings of the interpreter.
    "PYTHON",
    # torch with its compilers, and bitsandbytes.
    "TORCH", "PYTORCH_", "TRITON_", "INDUCTOR_", "AOT_", "BNB_", "BITSANDBYTES_",
    # Choice and settings of GPUs.
    "CUDA_", "CUBLAS", "CUDNN_", "HIP_", "HSA_", "MIOPEN_", "ROCBLAS_", "ROCM_",
    # Connections between the processes of a job.
    "NCCL_", "GLOO_", "TP_", "RCCL_",
    # Threads and processor features: OpenMP, BLAS, numba, tokenizers.
    "OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "ATEN_", "OPENBLAS_", "BLIS_", "VECLIB_",
    "NUMEXPR_", "NUMBA_", "RAYON_", "TOKENIZERS_", "GGML_",
    # The allocator of the C library.
    "MALLOC_", "GLIBC_TUNABLES",
)  # fmt: skip
_SECRETS = frozenset(
    (
        "AUTH",
        "CREDENTIAL",
        "CREDENTIALS",
        "KEY",
        "PASS",
        "PASSWD",
        "PASSWORD",
        "PAT",
        "SECRET",
        "TOKEN",
        "URL",
    )
)
"""Words of names that a prefix must not let through."""


def job_environment(
    environment: Mapping[str, str] = os.environ, secrets: Collection[str] = ()
) -> dict[str, str]:
    """Returns the listed variables of an environment, with those set for every job.

    Args:
        environment: of this process.
        secrets: variables with credentials that this kind of job itself needs.
    """
    passed = {name: value for name, value in environment.items() if _is_passed(name) or name in secrets}
    return passed | ENVIRONMENT


def _is_passed(name: str) -> bool:
    return name in _NAMES or (
        name.startswith(_PREFIXES) and not _SECRETS.intersection(name.upper().split("_"))
    )
