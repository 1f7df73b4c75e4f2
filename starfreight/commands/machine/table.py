"""The checks. A new one is a function and a line here."""

from __future__ import annotations

from starfreight.commands.machine.capacity_checks import check_disk, check_memory
from starfreight.commands.machine.cluster_checks import check_cluster
from starfreight.commands.machine.engine_checks import check_docker, check_gpu
from starfreight.commands.machine.finding import Check
from starfreight.commands.machine.login_checks import check_logins
from starfreight.commands.machine.program_checks import check_nginx, check_ollama, check_sandbox
from starfreight.commands.machine.python_checks import check_python, check_torch

CHECKS = (
    Check("python", check_python),
    Check("torch", check_torch),
    Check("gpu", check_gpu),
    Check("docker", check_docker, seconds=8),
    Check("disk", check_disk),
    Check("memory", check_memory),
    Check("registries", check_logins),
    Check("kubernetes", check_cluster, seconds=12),
    Check("ollama", check_ollama),
    Check("nginx", check_nginx),
    Check("sandbox", check_sandbox, seconds=8),
)
