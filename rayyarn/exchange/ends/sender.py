"""What a Spark task runs to send its partition to Ray. Travels by value: stdlib, and pyspark's own TaskContext.

Which Ray node takes a partition: one on the task's own host, else they take turns. A task that is tried again begins
with the next one, and a node that does not answer is passed over; once bytes flow it is that node or a failed task,
which Spark then tries again.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from rayyarn.exchange.ends.channel import dial_any, read, read_size, send, send_end
from rayyarn.exchange.ends.prompt import promptly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECEIPT = "!QQ"  # rows and bytes, as the receiver counted them
ACCOUNT = "partition long, attempt long, rows long, bytes long, station long"


def forward(
    messages: Iterable[bytes], stations: list[tuple[str, int]], secret: bytes
) -> Iterator[tuple[int, int, int, int, int]]:
    """Forward Arrow messages that the JVM made, unread; then one line of account: ``ACCOUNT``.

    Nothing is sent for an empty partition. Raises ConnectionError, which fails the task.
    """
    from pyspark import TaskContext

    context = TaskContext.get()
    partition, attempt = context.partitionId(), context.taskAttemptId()
    line: socket.socket | None = None
    rows = size = 0
    taken = -1
    try:
        for message in promptly(messages):
            if line is None:
                order = preference(stations, partition, context.attemptNumber())
                hello = struct.pack("!QQ", partition, attempt)
                line, number = _connect([stations[index] for index in order], secret, hello)
                taken = order[number]
            _carefully(send, line, stations[taken], message)
        if line is not None:
            _carefully(send_end, line, stations[taken])
            rows, size = struct.unpack(RECEIPT, _carefully(_receipt, line, stations[taken]))
    finally:
        if line is not None:
            line.close()
    yield partition, attempt, rows, size, taken


def forward_batches(batches: Iterable[Any], stations: list[tuple[str, int]], secret: bytes) -> Iterator[Any]:
    """The same for ``mapInArrow``: batches that Spark has decoded for us, with their schema as the first message."""
    import pyarrow as pa

    def messages() -> Iterator[Any]:
        first = True
        for batch in batches:
            if first:
                yield batch.schema.serialize()
                first = False
            yield batch.serialize()

    names = [word.split()[0] for word in ACCOUNT.split(", ")]
    for account in forward(messages(), stations, secret):
        yield pa.RecordBatch.from_pydict({name: [value] for name, value in zip(names, account, strict=True)})


def preference(stations: list[tuple[str, int]], partition: int, tries: int) -> list[int]:
    """The stations in the order in which this task tries them: its own host's first, all in turns."""
    here = own_addresses()
    near = [number for number, (ip, _) in enumerate(stations) if ip in here]
    far = [number for number in range(len(stations)) if number not in near]
    turn = partition + tries

    def turned(numbers: list[int]) -> list[int]:
        start = turn % len(numbers) if numbers else 0
        return numbers[start:] + numbers[:start]

    return turned(near) + turned(far) if tries == 0 else turned(near + far)


def own_addresses() -> set[str]:
    """The addresses by which this host is known: YARN's name for it, else its own."""
    found = set()
    for name in {os.environ.get("NM_HOST", ""), socket.gethostname()} - {""}:
        try:
            found |= {entry[4][0] for entry in socket.getaddrinfo(name, None, socket.AF_INET)}
        except OSError:
            continue
    return {str(address) for address in found}


def _connect(addresses: list[tuple[str, int]], secret: bytes, hello: bytes) -> tuple[socket.socket, int]:
    try:
        return dial_any(addresses, secret, hello)
    except ConnectionError as error:
        raise ConnectionError(f"no Ray node takes this partition ({error})") from None


def _receipt(line: socket.socket) -> bytes:
    size = read_size(line)
    return bytes(read(line, size))


def _carefully(act: Any, line: socket.socket, where: tuple[str, int], *what: Any) -> Any:
    try:
        return act(line, *what)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConnectionError(f"Ray's receiver at {where[0]}:{where[1]} ended it: {reason}") from None
