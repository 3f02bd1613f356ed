"""What takes partitions on a Ray node and makes blocks of them. Travels by value: stdlib, pyarrow and nothing of ours.

One thread a connection, and a budget for all of them: two blocks' worth of bytes may be there, on their way into the
object store included, however many tasks send at once. When the budget is used up the fullest connection's bytes become
a smaller block; then whoever wants to read more waits, and TCP makes Spark wait.

Spark's batches are a hundredth of a block. They are joined when there is a quarter of a block of them, so its bytes are
never there twice, and whoever uses it sees a few pieces.
"""

from __future__ import annotations

import operator
import queue
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

from rayyarn.exchange.ends.channel import Cut, answer, listen, read_into, read_size, send, send_last_word, shut, welcome
from rayyarn.exchange.ends.pages import Pages
from rayyarn.exchange.ends.sender import RECEIPT

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

# Marks in the place of a block's number: the attempt ended too early; nothing more will come.
BROKEN, LAST = -1, -2
# A store that is full spills to disk; one that has not taken a block after so long will not.
_STORE_SECONDS = 600.0


class Attempt:
    """What has come of one attempt at one partition and is not a block yet."""

    def __init__(self, partition: int, attempt: int) -> None:
        self.key = (partition, attempt)
        self.lock = threading.Lock()
        self.pieces: list[Any] = []
        self.batches: list[Any] = []  # those that came since
        self.waiting = self.size_of_batches = 0  # bytes of both, and of the batches
        self.blocks = self.rows = self.size = 0
        self.on_the_way = 0  # blocks that were taken out of it and are not stored yet

    def join(self) -> None:
        """Make a piece of the batches. Hold ``lock``, as for ``cut``."""
        import pyarrow as pa

        if self.batches:
            piece = pa.Table.from_batches(self.batches)
            self.pieces.append(piece.combine_chunks() if len(self.batches) > 1 else piece)
            self.batches, self.size_of_batches = [], 0

    def cut(self) -> tuple[list[Any], int]:
        """The pieces, and how many bytes came with them."""
        pieces, size = self.pieces, self.waiting
        self.pieces, self.batches, self.size_of_batches, self.waiting = [], [], 0, 0
        return pieces, size


class Box:
    """A block on its way into the store: pickled it is the block, and afterwards it is empty.

    Ray keeps what it was given until it is given something else; it may keep the box.
    """

    def __init__(self, block: Any) -> None:
        self.block = block

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.itemgetter(0), ((self.block,),)


class Receiver:
    """One transfer's end on one Ray node. ``blocks`` yields what comes until ``end``."""

    def __init__(self, secret: bytes, fields: bytes, *, framed_schema: bool, block_size: int, frame_limit: int) -> None:
        """Listen at once. ``fields``: the Arrow schema (IPC) with what the Dataset's columns say of Spark.

        With ``framed_schema`` each attempt sends its own schema first, and only what is said is taken from ``fields``.
        """
        import pyarrow as pa
        import ray

        self._secret, self._block_size, self._frame_limit = secret, block_size, frame_limit
        self._schema, self._framed = pa.ipc.read_schema(pa.py_buffer(fields)), framed_schema
        self._budget, self._used, self._piece = 2 * block_size, 0, block_size // 4
        self._room = threading.Condition()
        self._copying = threading.Lock()  # while it lasts the bytes of a piece are there twice
        self._pages = Pages()
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._sent_schema = b""  # with ``framed_schema``: the schema that the blocks have
        self._open: dict[Any, Attempt] = {}
        self._complete: list[tuple[int, int, int]] = []  # attempts of which all is stored, with rows; not told of yet
        self._seen: set[tuple[int, int]] = set()
        self._over = False
        self._listener = listen(ray.util.get_node_ip_address())
        answer(self._listener, self._serve)

    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def blocks(self) -> Iterator[Any]:
        """For each block its key (partition, attempt, number, rows, bytes), then the block; marks have a key alone.

        With each key, as its last part, come the attempts that are complete by then: (partition, attempt, rows).
        ``LAST`` is the end. Ray ends the stream without it, and without an error, when its store refuses a block.
        """
        try:
            while (item := self._out.get()) is not None:
                key, box, stored = item
                yield *key, self._told()
                if box is not None:
                    yield box
                    box.block = None
                stored.set()
            yield 0, 0, LAST, 0, 0, self._told()
        finally:
            self._close()

    def _told(self) -> list[tuple[int, int, int]]:
        with self._room:
            told, self._complete = self._complete, []
        return told

    def takes(self) -> bool:
        """False once it has ended, by itself or because it was told to."""
        return not self._over

    def sent_schema(self) -> bytes:
        """The schema that came with the blocks (IPC); empty when none did."""
        return self._sent_schema

    def end(self) -> None:
        """Take nothing more and let ``blocks`` end: what is still being sent does not count."""
        self._close()
        self._out.put(None)

    def _close(self) -> None:
        self._over = True
        shut([self._listener, *self._open])
        self._listener.close()
        with self._room:
            self._room.notify_all()

    # --- one connection ----------------------------------------------------------------------------------------

    def _serve(self, line: socket.socket) -> None:
        attempt: Attempt | None = None
        try:
            attempt = self._greet(line)
            self._read(line, attempt)
            self._seal(attempt)
            send(line, struct.pack(RECEIPT, attempt.rows, attempt.size))
        except Cut:
            self._forget(attempt)
        except Exception as error:
            self._forget(attempt)
            send_last_word(line, str(error) or type(error).__name__)
        finally:
            self._open.pop(line, None)
            line.close()

    def _greet(self, line: socket.socket) -> Attempt:
        partition, number = struct.unpack("!QQ", welcome(line, self._secret)[:16])
        attempt = Attempt(partition, number)
        with self._room:
            if attempt.key in self._seen:
                raise Cut("one connection serves one attempt")
            self._seen.add(attempt.key)
            self._open[line] = attempt
        return attempt

    def _read(self, line: socket.socket, attempt: Attempt) -> None:
        import pyarrow as pa

        schema = None if self._framed else self._schema
        while size := read_size(line):
            if size > self._frame_limit:
                raise ValueError(
                    f"a record batch of {size} bytes is over the limit of {self._frame_limit}: raise frame_limit, "
                    "or lower spark.sql.execution.arrow.maxRecordsPerBatch"
                )
            self._take(size)
            try:
                buffer = pa.allocate_buffer(size)
                read_into(line, memoryview(buffer))
                if schema is None:
                    schema = self._described(pa.ipc.read_schema(buffer))
                    self._sent_schema = self._sent_schema or bytes(schema.serialize())
                    self._give(size)
                    continue
                batch = pa.ipc.read_record_batch(buffer, schema)
                batch.validate()
            except BaseException:
                self._give(size)
                raise
            with attempt.lock:
                attempt.batches.append(batch)
                attempt.size_of_batches += size
                attempt.waiting += size
                many = attempt.size_of_batches >= self._piece
            if many:
                with self._copying, attempt.lock:
                    attempt.join()
            if attempt.waiting >= self._block_size:
                self._store(attempt)

    def _described(self, schema: Any) -> Any:
        """``schema`` as it came, its columns with what is said of them in ``fields``."""
        import pyarrow as pa

        described = zip(schema, self._schema, strict=True)
        return pa.schema([field.with_metadata(known.metadata) for field, known in described])

    def _seal(self, attempt: Attempt) -> None:
        self._store(attempt)
        with self._room:
            ended = self._room.wait_for(lambda: not attempt.on_the_way or self._over, _STORE_SECONDS)
            if not ended or self._over:
                raise Cut("over")
            self._complete.append((*attempt.key, attempt.rows))

    def _forget(self, attempt: Attempt | None) -> None:
        if attempt is None:
            return
        with attempt.lock:
            _, dropped = attempt.cut()
        self._give(dropped)
        if not self._over:
            self._out.put(((*attempt.key, BROKEN, 0, 0), None, threading.Event()))

    # --- the budget --------------------------------------------------------------------------------------------

    def _take(self, size: int) -> None:
        """Wait until ``size`` more bytes may be read. A frame larger than the budget is read alone."""
        while True:
            with self._room:
                if self._over:
                    raise Cut("over")
                if not self._used or self._used + size <= self._budget:
                    self._used += size
                    return
                fullest = max(list(self._open.values()), key=lambda attempt: attempt.waiting, default=None)
                if fullest is None or not fullest.waiting:
                    self._room.wait(1.0)
                    continue
            self._store(fullest)

    def _give(self, size: int) -> None:
        with self._room:
            self._used -= size
            self._room.notify_all()

    def _store(self, attempt: Attempt) -> None:
        """Make a block of what waits, and return when the object store has it."""
        import pyarrow as pa

        with self._copying, attempt.lock:
            attempt.join()
            pieces, size = attempt.cut()
            if not pieces:
                return
            number, attempt.blocks = attempt.blocks, attempt.blocks + 1
            attempt.on_the_way += 1
        try:
            block = pa.concat_tables(pieces)
            del pieces
            rows, taken = block.num_rows, block.nbytes
            with attempt.lock:
                attempt.rows += rows
                attempt.size += taken
            box = Box(block)
            del block
            self._put((*attempt.key, number, rows, taken), box)
            self._pages.touched(taken)
        finally:
            with attempt.lock:
                attempt.on_the_way -= 1
            self._give(size)

    def _put(self, key: tuple[int, ...], box: Box) -> None:
        stored = threading.Event()
        self._out.put((key, box, stored))
        until = time.monotonic() + _STORE_SECONDS
        while not stored.wait(1.0):
            if self._over:
                raise Cut("over")
            if time.monotonic() > until:
                raise TimeoutError(f"Ray's object store has not taken a block for {_STORE_SECONDS:.0f} s")
