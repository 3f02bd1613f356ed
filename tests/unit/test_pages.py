"""The object store's pages, which an actor of the exchange lets go of."""

import mmap
import re
from pathlib import Path

from rayyarn.exchange.ends import pages

MAPS = """\
55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 131   /usr/bin/python3.11
7f12a0000000-7f12a4000000 rw-s 00000000 00:19 77    /dev/shm/plasmaAbCdEf (deleted)
7f12b0000000-7f12b0001000 rw-s 00000000 00:19 78    /dev/shm/psm_1234
7f12c0000000-7f12c0002000 r--s 00000000 fe:00 132   /var/tmp/r1/plasma_00ff
7f12d0000000-7f12d0002000 rw-p 00000000 fe:00 133   /var/tmp/plasmaPrivate
"""


def test_only_the_store_is_found():
    assert pages.ranges(MAPS) == [(0x7F12A0000000, 0x7F12A4000000), (0x7F12C0000000, 0x7F12C0002000)]


def test_letting_go_costs_no_byte(tmp_path):
    size = 8 << 20
    file = tmp_path / "plasmaAbCdEf"
    file.write_bytes(bytes(size))
    with file.open("r+b") as store:
        mapped = mmap.mmap(store.fileno(), size)
    file.unlink()
    mapped[:] = b"x" * size
    assert resident() > size // 2
    counted = pages.Pages()
    counted.touched(pages._MOST - 1)
    assert resident() > size // 2
    counted.touched(1)
    assert resident() == 0
    assert mapped[:] == b"x" * size


def resident():
    """Bytes of the mapped file that this process is said to have."""
    told = Path("/proc/self/smaps").read_text()
    (region,) = re.findall(r"plasmaAbCdEf \(deleted\)\n(?:\w+:.*\n)*?Rss: +(\d+) kB", told)
    return int(region) << 10
