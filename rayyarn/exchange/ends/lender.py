"""What hands a Dataset's blocks to Spark, on the Ray node that holds them. Travels by value: stdlib, pyarrow, ray."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any

from rayyarn.exchange.ends.channel import Cut, answer, listen, send, send_end, send_last_word, shut, welcome
from rayyarn.exchange.ends.pages import Pages
from rayyarn.exchange.ends.telling import telling_line

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

# A Spark worker holds one batch at a time: small enough to forget about, large enough to cost nothing a byte.
_BATCH_BYTES = 8 << 20


class Lender:
    """Blocks by number, over TCP, until ``end``. Reading is repeatable: tasks may be tried again."""

    def __init__(self, secret: bytes, blocks: list[Any], fields: bytes) -> None:
        """``blocks`` are references in a list, which Ray leaves as they are; ``fields``: what Spark expects (IPC)."""
        import pyarrow as pa
        import ray

        self._secret, self._blocks = secret, blocks
        self._schema = pa.ipc.read_schema(pa.py_buffer(fields))
        self._open: set[socket.socket] = set()
        self._pages = Pages()
        self._listener = listen(ray.util.get_node_ip_address())
        answer(self._listener, self._serve)

    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def end(self) -> None:
        """Lend no more, and let go of the blocks."""
        self._blocks = []
        shut([self._listener, *self._open])
        self._listener.close()

    def _serve(self, line: socket.socket) -> None:
        self._open.add(line)
        try:
            first, count = struct.unpack("!QQ", welcome(line, self._secret)[:16])
            for number in range(first, first + count):
                for batch in self._batches(number):
                    send(line, batch.serialize())
            send_end(line)
        except (Cut, BrokenPipeError, ConnectionResetError):
            pass  # the task ended before its partition did: a limit, or a failure of its own
        except Exception as error:
            send_last_word(line, f"{type(error).__name__}: {telling_line(error)}")
        finally:
            self._open.discard(line)
            with contextlib.suppress(OSError):
                line.close()

    def _batches(self, number: int) -> Iterator[Any]:
        import ray
        from ray.data.block import BlockAccessor

        table = BlockAccessor.for_block(ray.get(self._blocks[number])).to_arrow()
        table = fitted(table, self._schema)
        if not table.num_rows:
            return
        rows = max(1, int(table.num_rows * _BATCH_BYTES / max(table.nbytes, 1)))
        yield from table.to_batches(max_chunksize=rows)
        self._pages.touched(table.nbytes)


def fitted(table: Any, schema: Any) -> Any:
    """``table`` with the columns and types of ``schema``. Raises ValueError, naming the column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for field in schema:
        if field.name not in table.column_names:
            raise ValueError(f"a block has no column {field.name!r}, only {', '.join(table.column_names)}")
        column = table[field.name]
        if column.type != field.type:
            # Spark counts in microseconds: what is finer is cut off, as pyspark does with pandas' nanoseconds.
            options = pc.CastOptions(field.type, allow_time_truncate=True)
            try:
                column = pc.cast(column, options=options)
            except pa.ArrowException as error:
                raise ValueError(f"column {field.name!r} ({column.type}) is no {field.type}: {error}") from None
        if not field.nullable and column.null_count:
            raise ValueError(f"column {field.name!r} may not hold nulls and holds {column.null_count}; give a schema")
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)
