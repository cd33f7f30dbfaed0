"""Memory that this process may take: of the system, and within its control groups of both versions."""

from pathlib import Path

import pytest

from hwbench.machine.host.files import Files
from hwbench.machine.host.memory import free_memory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB"
AVAILABLE = 8000000 << 10
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "free"),
    [({"proc/meminfo": MEMINFO}, AVAILABLE),
     ({"proc/meminfo": MEMINFO, f"{V2}/memory.max": "268435456", f"{V2}/memory.current": "68435456"}, 200_000_000),
     ({"proc/meminfo": MEMINFO, f"{V2}/memory.max": "max"}, AVAILABLE),
     ({f"{V1}/memory.limit_in_bytes": "1000000000", f"{V1}/memory.usage_in_bytes": "400000000"}, 600_000_000),
     ({f"{V2}/memory.max": "1000000000", f"{V2}/memory.current": "900000000",
       f"{V2}/memory.stat": "anon 100000000\ninactive_file 700000000\nactive_file 100000000"}, 800_000_000),
     ({f"{V1}/memory.limit_in_bytes": "1000000000", f"{V1}/memory.usage_in_bytes": "900000000",
       f"{V1}/memory.stat": "inactive_file 1\ntotal_inactive_file 300000000\nbroken"}, 400_000_000),
     ({f"{V2}/memory.max": "80000000", f"{V2}/memory.current": "80000000"}, 10_000_000),  # caches can be dropped
     ({"proc/meminfo": "nonsense\nMemAvailable: many kB"}, None),
     ({}, None)],
)  # fmt: skip
def test_free_memory_is_what_the_system_and_the_group_leave(
    tmp_path: Path, files: dict[str, str], free: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert free_memory(Files(str(tmp_path))) == free
