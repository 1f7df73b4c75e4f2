"""The clients. A new one is a file and a line here."""

from __future__ import annotations

from starfreight.packager.doctor.docker_model_runner import DockerModelRunner
from starfreight.packager.doctor.harbor import Harbor
from starfreight.packager.doctor.image_volumes import ImageVolumes
from starfreight.packager.doctor.interface import PullingClient
from starfreight.packager.doctor.kit import KitOps
from starfreight.packager.doctor.llama_cpp import LlamaCpp
from starfreight.packager.doctor.ollama import Ollama
from starfreight.packager.doctor.oras import Oras
from starfreight.packager.doctor.podman import PodmanArtifact
from starfreight.packager.doctor.ramalama import RamaLama

CLIENTS: tuple[PullingClient, ...] = (
    Ollama(),
    DockerModelRunner(),
    LlamaCpp(),
    RamaLama(),
    PodmanArtifact(),
    Oras(),
    KitOps(),
    ImageVolumes(),
    Harbor(),
)
