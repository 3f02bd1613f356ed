"""One gzip stream, compressed by all cores: blocks of 1 MiB, each deflated by itself and put one behind the other.

A block that hardly shrinks (jars, wheels, pictures) is stored as it is: a third of an environment with Spark in it, for
4 % more bytes. Every reader of gzip takes the result; it is a single member, because Java reads several of them only
from some streams.
"""

from __future__ import annotations

import os
import queue
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    _Block = Future[tuple[bytes, bytes]]  # as it came, and compressed

BLOCK = 1 << 20
# A block is judged by this much from its middle: 1/32 of the work.
_SAMPLE = 1 << 15
_SHRINKS = 0.9
# One thread reads and builds the tar about as fast as four of these compress.
_MOST_THREADS = 4
_LEVEL = 1
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no name, no time, made for speed: RFC 1952
_LAST = b"\x03\x00"  # an empty final block: RFC 1951


class GzipStream:
    """A sink of bytes that writes .gz to ``sink`` from a thread of its own.

    Use it in a ``with`` block: its end writes the trailer, an exception abandons the stream. What ``sink`` raises comes
    out of the next ``write`` or of the end.
    """

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._deflate = sink, _deflater()
        threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deflate")
        # Bounds the memory: a slow sink makes write() wait.
        self._ready: queue.Queue[_Block | None] = queue.Queue(2 * threads + 2)
        self._pending: list[bytes] = []
        self._held = 0
        self._failure: BaseException | None = None
        self._writer = threading.Thread(target=self._write_all, name="gzip", daemon=True)

    def __enter__(self) -> Self:
        self._writer.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._submit()
        else:
            self._failure = error  # the writer drops what is left
        self._ready.put(None)
        self._writer.join()
        self._pool.shutdown(cancel_futures=True)
        if error is None and self._failure is not None:
            raise self._failure

    def write(self, data: bytes) -> None:
        """Take ``data``; it is compressed as soon as there is a block of it."""
        self._pending.append(data)
        self._held += len(data)
        if self._held >= BLOCK:
            self._submit()

    def write_later(self, load: Callable[[], bytes]) -> None:
        """Take what ``load`` returns, up to a block; a compressing thread calls it."""
        self._submit()
        self._ready.put(self._pool.submit(_compressed, load, self._deflate))

    def _submit(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._pending:
            pieces, self._pending, self._held = self._pending, [], 0
            self._ready.put(self._pool.submit(_compressed, lambda: b"".join(pieces), self._deflate))

    def _write_all(self) -> None:
        try:
            self._write_stream()
        except BaseException as failure:
            self._failure = failure
            while self._ready.get() is not None:
                pass  # so that write() never waits for a place

    def _write_stream(self) -> None:
        crc = size = 0
        self._sink.write(_HEADER)
        while (block := self._ready.get()) is not None:
            if self._failure is not None:
                continue
            data, deflated = block.result()
            self._sink.write(deflated)
            crc, size = self._deflate.crc32(data, crc), size + len(data)
        if self._failure is None:
            self._sink.write(_LAST + struct.pack("<II", crc, size & 0xFFFFFFFF))


def _compressed(load: Callable[[], bytes], deflate: Any) -> tuple[bytes, bytes]:
    """What ``load`` returns, and the same as deflate blocks that need nothing before them and end on a byte."""
    data = load()
    middle = max(0, len(data) - _SAMPLE) // 2
    sample = memoryview(data)[middle : middle + _SAMPLE]
    if len(sample) == _SAMPLE and len(deflate.compress(sample, _LEVEL)) > _SHRINKS * _SAMPLE:
        packer = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    else:
        packer = deflate.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return data, packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def _deflater() -> Any:
    """ISA-L's deflate where it has a wheel; zlib's, three to four times slower, where it has none."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib
