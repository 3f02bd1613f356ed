"""What a Spark task runs to read its blocks from Ray. Travels by value: stdlib and pyarrow."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from rayyarn.exchange.ends.channel import Cut, dial_any, read_into, read_size
from rayyarn.exchange.ends.prompt import promptly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# A partition: its first block, how many, and the lenders in the order in which to ask them.
Share = tuple[int, int, list[tuple[str, int]]]


def reader(name: str, shares: list[Share], secret: bytes, fields: bytes) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """The function for ``mapInArrow`` over a range of partition numbers; ``name`` is what Spark's plans call it."""

    def read(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        schema = pa.ipc.read_schema(pa.py_buffer(fields))
        for batch in promptly(batches):
            for number in batch.column(0).to_pylist():
                yield from _share(shares[number], secret, schema)

    read.__name__ = read.__qualname__ = name
    return read


def _share(share: Share, secret: bytes, schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    first, count, lenders = share
    try:
        line, _ = dial_any(lenders, secret, struct.pack("!QQ", first, count))
    except ConnectionError as error:
        raise RuntimeError(
            "the blocks of this DataFrame are no longer lent by Ray: its lease was ended, the program that made it "
            f"has ended, or the Ray cluster is gone ({error})"
        ) from None
    with line:
        try:
            while size := read_size(line):
                buffer = pa.allocate_buffer(size)
                read_into(line, memoryview(buffer))
                yield pa.ipc.read_record_batch(buffer, schema)
        except Cut as error:
            raise RuntimeError(f"Ray could not hand over blocks {first} to {first + count - 1}: {error}") from None
