"""Loopback blocks: each mini cluster has 127.x.y.* for itself, so that all ports keep their usual numbers."""

from __future__ import annotations

import contextlib
import errno
import socket
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayyarn.errors import MiniFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

# 127.64.0.* to 127.191.255.*: away from 127.0.0.* (localhost, resolvers), 127.0.1.1 (Debian's own name) and
# from the far end. Linux answers on all of 127.0.0.0/8 without configuration.
_FIRST, _COUNT = 64 << 8, 128 << 8
_TRIES = 64
_STRIDE = 7919  # prime to _COUNT: neighbours in the sequence are not neighbours on the wire

RM_PORTS = (8030, 8031, 8032, 8033, 8088)
# 8041 is inside no system's range of ephemeral ports, as yarn-default.xml's own choice (0: a new one at each start)
# and the 45454 of some distributions are.
NM_PORTS = (8040, 8041, 8042, 8048)
HDFS_PORTS = (8020, 9870, 9864, 9866, 9867)


@dataclass(frozen=True)
class Block:
    """The addresses 127.x.y.1 (ResourceManager, NameNode, DataNode) and from 127.x.y.2 on (NodeManagers)."""

    prefix: str

    @property
    def master(self) -> str:
        """The ResourceManager's address. Never 127.0.0.1, which Ray replaces by an outer address."""
        return f"{self.prefix}.1"

    def node(self, index: int) -> str:
        """The address of NodeManager ``index``, counted from 0."""
        return f"{self.prefix}.{index + 2}"

    def endpoints(self, nodes: int, *, hdfs: bool) -> list[tuple[str, int]]:
        """Every address and port the cluster will listen on."""
        ports = RM_PORTS + (HDFS_PORTS if hdfs else ())
        return [(self.master, port) for port in ports] + [
            (self.node(index), port) for index in range(nodes) for port in NM_PORTS
        ]


def candidates(uid: int, name: str) -> Iterator[Block]:
    """Blocks to try, in an order fixed by user and name: the same cluster gets the same addresses next time."""
    start = zlib.crc32(f"{uid}:{name}".encode())
    for step in range(_TRIES):
        number = _FIRST + (start + step * _STRIDE) % _COUNT
        yield Block(f"127.{number >> 8}.{number & 255}")


@contextlib.contextmanager
def reserved(uid: int, name: str, nodes: int, *, hdfs: bool) -> Iterator[Block]:
    """A block whose ports are all free, kept from other ``mini up`` commands until the body is left.

    Raises MiniFailed with the port that is taken when no block is free: then a program listens on all addresses.
    """
    taken: list[str] = []
    for block in candidates(uid, name):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as claim:
            try:
                # An abstract name is taken by one process of the machine, whoever it is, and vanishes with it.
                claim.bind(f"\0rayyarn-mini-{block.prefix}")
            except OSError:
                continue
            busy = first_taken(block.endpoints(nodes, hdfs=hdfs))
            if busy is None:
                yield block
                return
            taken.append(f"{busy[0]}:{busy[1]}")
    ports = sorted({place.rpartition(":")[2] for place in taken})
    raise MiniFailed(
        f"no loopback address is free for the mini cluster: port {', '.join(ports) or '?'} is taken on each of the "
        f"{_TRIES} tried, so another program listens on all addresses",
        hint=f"ss -ltnp 'sport = :{ports[0] if ports else 8088}'   # who it is",
    )


def first_taken(endpoints: list[tuple[str, int]]) -> tuple[str, int] | None:
    """The first address and port that cannot be listened on, or None."""
    for host, port in endpoints:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # As the daemons do it: sockets in TIME_WAIT of a cluster that just went do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                return host, port
    return None
