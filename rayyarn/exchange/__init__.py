"""Between Spark and Ray, in memory: a DataFrame becomes a Dataset, a Dataset a DataFrame, each row exactly once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayyarn.errors import UsageError
from rayyarn.units import format_size, parse_size

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_BLOCK_LIMITS = (1 << 20, 1 << 30)  # below, blocks cost more than their bytes; above, Arrow's 32-bit offsets end


@dataclass(frozen=True)
class Transferred:
    """What a transfer did, as ``dataset.transfer``: rows and bytes of Arrow, blocks, seconds until usable.

    ``path``: how the bytes left Spark ("jvm" or "python"). ``rounds``: 1, more when a Ray node was lost on the way.
    ``received_rows``: with those of attempts that failed or came second, which do not count.
    """

    rows: int
    size: int
    blocks: int
    seconds: float
    path: str
    rounds: int
    received_rows: int

    def __str__(self) -> str:
        rate = self.size / max(self.seconds, 1e-9)
        return (
            f"{self.rows:,} rows, {format_size(self.size)} in {self.blocks} blocks, {self.seconds:.1f} s "
            f"({format_size(rate)}/s) by the path {self.path}"
        )


def to_ray(
    frame: Any,
    *,
    block_size: str | int = "64MiB",
    path: str | None = None,
    allow_plaintext: bool = False,
    frame_limit: str | int = "2GiB",
    progress: bool | None = None,
) -> Any:
    """The rows of a Spark DataFrame as a ``ray.data.Dataset``, in memory: no files, no detour through this program.

    The blocks belong to this program: they outlive ``spark.stop()``, and end with the Dataset. ``block_size`` is how
    large they become; ``path`` forces one of ``jvm`` and ``python``; ``frame_limit`` is the most that one Arrow batch
    may hold; ``progress`` shows a line, by default where a person looks. Numbers are in ``dataset.transfer``.
    Raises ExchangeRefused before anything runs, ExchangeFailed with all blocks freed.
    """
    from rayyarn.exchange import cargo, dataset, spark_side, stations
    from rayyarn.exchange.progress import Progress
    from rayyarn.exchange.transfer import Transfer

    began = time.monotonic()
    size, limit = parse_size(block_size), parse_size(frame_limit)
    if not _BLOCK_LIMITS[0] <= size <= _BLOCK_LIMITS[1]:
        raise UsageError(f"blocks of {format_size(size)}: between 1 MiB and 1 GiB they can be", hint='"64MiB"')
    stations.require_ray()
    spark_side.refuse_plaintext(spark_side.session_of(frame), allowed=allow_plaintext)
    loaded = cargo.load(frame, path)
    transfer = Transfer(loaded, Progress(progress), block_size=size, frame_limit=limit)
    blocks = transfer.run()
    made = dataset.assemble(blocks, transfer.schema)
    made.transfer = Transferred(
        rows=sum(block.rows for block in blocks),
        size=sum(block.size for block in blocks),
        blocks=len(blocks),
        seconds=time.monotonic() - began,
        path=loaded.path,
        rounds=transfer.rounds,
        received_rows=transfer.received_rows,
    )
    return made


def to_spark(dataset: Any, spark: Any, *, schema: Any = None, allow_plaintext: bool = False) -> Any:
    """A Ray Dataset as a Spark DataFrame that reads the blocks from the Ray nodes that hold them, whenever it is run.

    Columns that came from Spark have the types that they had there; ``schema`` (a StructType or DDL) asks for others.
    The blocks stay until the lease ends: with ``release``, with a ``lease()`` block, with the Spark application or with
    this program. Raises ExchangeRefused before anything runs.
    """
    from rayyarn.exchange import loan, spark_side, stations

    stations.require_ray()
    spark_side.refuse_plaintext(spark, allowed=allow_plaintext)
    return loan.lend(dataset, spark, schema)


def release(frame: Any) -> int:
    """End the lease of the blocks that a DataFrame, or what it was made from, reads. How many leases there were."""
    from rayyarn.exchange import leases

    return leases.release(frame)


def lease() -> AbstractContextManager[None]:
    """A ``with`` block at whose end the blocks that ``to_spark`` lent in it are let go."""
    from rayyarn.exchange import leases

    return leases.until_here()
