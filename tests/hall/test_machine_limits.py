"""The memory that a process may use."""

from __future__ import annotations

from pathlib import Path

from starfreight.machine_limits import available_memory, usable_processors


def test_memory_is_the_machines_or_the_containers_whichever_is_less(tmp_path: Path) -> None:
    meminfo, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    cgroup.mkdir()
    assert available_memory(meminfo, cgroup) is None
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable:   50 kB\n")
    assert available_memory(meminfo, cgroup) == 50 * 1024
    (cgroup / "memory.current").write_text("30000\n")
    (cgroup / "memory.stat").write_text("anon 5000\ninactive_file 8000\nactive_file 2000\n")
    (cgroup / "memory.max").write_text("max\n")
    assert available_memory(meminfo, cgroup) == 50 * 1024
    (cgroup / "memory.max").write_text("40000\n")
    assert available_memory(meminfo, cgroup) == 20_000
    meminfo.unlink()
    assert available_memory(meminfo, cgroup) == 20_000


def test_there_is_a_processor() -> None:
    assert usable_processors() >= 1
