"""The object store's pages, which an actor of the exchange lets go of."""

import mmap
import re
import tempfile
from pathlib import Path

import pytest

from rayyarn.exchange.ends import pages

SIZE = 8 << 20

MAPS = """\
55d0c0a00000-55d0c0a02000 r--p 00000000 fe:00 131   /usr/bin/python3.11
7f12a0000000-7f12a4000000 rw-s 00000000 00:19 77    /dev/shm/plasmaAbCdEf (deleted)
7f12b0000000-7f12b0001000 rw-s 00000000 00:19 78    /dev/shm/psm_1234
7f12c0000000-7f12c0002000 r--s 00000000 fe:00 132   /var/tmp/r1/plasma_00ff
7f12d0000000-7f12d0002000 rw-p 00000000 fe:00 133   /var/tmp/plasmaPrivate
"""


def test_only_the_store_is_found():
    assert pages.ranges(MAPS) == [(0x7F12A0000000, 0x7F12A4000000), (0x7F12C0000000, 0x7F12C0002000)]


@pytest.fixture
def store():
    """Memory as Ray shares it: a file of /dev/shm that is removed at once."""
    with tempfile.NamedTemporaryFile(prefix="plasma", dir="/dev/shm") as file:
        file.truncate(SIZE)
        mapped = mmap.mmap(file.fileno(), SIZE)
    yield mapped
    mapped.close()


def test_a_share_of_the_store_is_kept_and_letting_go_costs_no_byte(store, monkeypatch):
    monkeypatch.setattr(pages, "_LOOK", 1 << 20)
    monkeypatch.setattr(pages, "_LEAST", 3 << 20)
    counted = pages.Pages()
    for number in range(4):
        assert resident() == number << 20
        store[number << 20 : (number + 1) << 20] = b"x" * (1 << 20)
        counted.touched(1 << 20)
    assert resident() == 0  # the fourth is more than a quarter of 8 MiB, and than the least
    assert store[: 4 << 20] == b"x" * (4 << 20)


def test_what_is_used_again_and_again_is_kept(store, monkeypatch):
    monkeypatch.setattr(pages, "_LOOK", 1 << 20)
    monkeypatch.setattr(pages, "_LEAST", 3 << 20)
    counted = pages.Pages()
    for _ in range(8):
        store[: 1 << 20] = b"x" * (1 << 20)
        counted.touched(1 << 20)
        assert resident() == 1 << 20


def test_a_kernel_that_does_not_tell_has_them_let_go_after_as_many_bytes():
    assert pages.shared("VmRSS:\t 9 kB\nRssShmem:\t    1024 kB\n") == 1 << 20
    assert pages.shared("VmRSS:\t 9 kB\n") == float("inf")


def resident():
    """Bytes of the mapped file that this process is said to have."""
    told = Path("/proc/self/smaps").read_text()
    (region,) = re.findall(r"/dev/shm/plasma\w+ \(deleted\)\n(?:\w+:.*\n)*?Rss: +(\d+) kB", told)
    return int(region) << 10
