"""Who listens where on this machine, as /proc tells it: a port alone does not say whose it is."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_LOOPBACK, _ANY = "127.0.0.1", "0.0.0.0"  # noqa: S104 - nothing listens there


def _listening() -> Iterator[tuple[str, int, int, str]]:
    """Address, port, user id and inode of every listening IPv4 socket (proc_pid_net(5))."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTEN:
            address, port = words[1].split(":")
            yield socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16), int(words[7]), words[9]


def loopback_port(pid: int) -> int | None:
    """The port on which process ``pid`` listens on 127.0.0.1; None while there is none."""
    mine = set()
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):  # closed meanwhile
            mine.add(str(descriptor.readlink()))
    found = (port for address, port, _, inode in _listening() if address == _LOOPBACK and f"socket:[{inode}]" in mine)
    return next(found, None)


def listeners(port: int) -> set[int]:
    """The user ids that a connection to 127.0.0.1:``port`` can reach."""
    return {user for address, its, user, _ in _listening() if its == port and address in (_LOOPBACK, _ANY)}


def held() -> socket.socket:
    """A socket that keeps a free port, on all addresses, for the process that is told to listen there.

    It does not listen. Two that set SO_REUSEADDR may have one port while at most one of them does (socket(7)), and the
    kernel gives such a port to nobody who asks for any. Close it when nobody shall listen there any more.
    """
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((_ANY, 0))
    return one


def address_towards(ip: str) -> str:
    """The address that a connection from this machine to ``ip`` comes from. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((ip, 9))
        return str(probe.getsockname()[0])


def is_here(ip: str) -> bool:
    """True when ``ip`` is an address of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
