"""A job on this machine gets the variables that its libraries read, and none with a credential."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from starfreight.jobs.backends.local.environment import job_environment
from starfreight.jobs.protocol.environment import ENVIRONMENT

NEEDED = (
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME", "PYTHONPATH", "PYTHONHASHSEED",
    "LD_LIBRARY_PATH", "CC", "CUDA_VISIBLE_DEVICES", "CUDA_PATH", "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_CUDA_ALLOC_CONF", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "BNB_CUDA_VERSION",
    "NCCL_DEBUG", "GLOO_SOCKET_IFNAME", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS", "HF_HOME", "HF_HUB_CACHE", "MPLCONFIGDIR", "NVIDIA_VISIBLE_DEVICES",
    "STARFREIGHT_IMAGE", "STARFREIGHT_LOCK_PATIENCE",
)  # fmt: skip
SECRET = (
    "DATABASE_URL", "GITHUB_PAT", "GH_TOKEN", "DOCKER_AUTH_CONFIG", "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN", "PGPASSFILE", "STARFREIGHT_REGISTRY_USERNAME",
    "STARFREIGHT_REGISTRY_PASSWORD", "NVIDIA_API_KEY", "NGC_CLI_API_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_URI", "SLURM_JWT", "SSH_AUTH_SOCK",
    "https_proxy", "HTTP_PROXY", "ALL_PROXY", "KUBECONFIG", "NETRC", "SENTRY_DSN", "REDIS_URL",
    "PIP_INDEX_URL", "UV_INDEX_PRIVATE_PASSWORD", "GIT_ASKPASS", "TORCH_HUB_TOKEN",
    "CUDA_STORE_PASSWORD", "PYTHON_INDEX_URL", "LOCAL_RANK", "PET_NNODES", "CONNECTION_STRING",
    "hf_token",
)  # fmt: skip


def test_what_the_libraries_read_is_passed_and_nothing_that_may_hold_a_secret_is() -> None:
    found = job_environment({name: f"value of {name}" for name in NEEDED + SECRET})
    assert found == {name: f"value of {name}" for name in NEEDED} | ENVIRONMENT


def test_the_settings_of_every_job_win() -> None:
    assert job_environment({"TOKENIZERS_PARALLELISM": "true"}) == ENVIRONMENT


@pytest.mark.parametrize("library", ["torch", "numba", "matplotlib"])
def test_the_libraries_find_their_directories_with_the_variables_that_are_left(library: str) -> None:
    pytest.importorskip(library)
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import {library}"],
        env=job_environment(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
