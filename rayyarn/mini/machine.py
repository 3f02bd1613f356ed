"""What this machine has, and what a mini cluster should take of it when nobody says."""

from __future__ import annotations

import os
import re
from pathlib import Path

_GIB = 1 << 30
_STEP = 256 << 20  # sizes people can read
# A 2 GiB head beside a 4 GiB worker and their ApplicationMaster.
_COMFORTABLE = 7 * _GIB
# YARN counts what containers may use, not what they do use, so vcores may be more than there are.
_FEWEST_CPUS = 8


def total_memory(root: Path = Path("/")) -> int:
    """Bytes of memory this machine, or the container this runs in, has."""
    found = [int(re.search(r"^MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.M)[1]) << 10]  # type: ignore[index]
    for limit in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = root / limit
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdigit():  # not "max"
            found.append(int(text))
    return min(found)


def node_memory(nodes: int, total: int) -> int:
    """Bytes per node: three quarters of the machine over the nodes, but room for a head and a worker if at all."""
    most = total * 3 // 4
    return max(min(max(most // nodes, _COMFORTABLE), most) // _STEP * _STEP, _STEP)


def node_cpus() -> int:
    """Vcores per node."""
    return max(os.cpu_count() or 1, _FEWEST_CPUS)
