"""A Dataset lent to Spark: which node hands out which blocks, and the DataFrame that reads them."""

from __future__ import annotations

import secrets
from typing import Any

from rayyarn.exchange import leases, schema, spark_side, stations, travel
from rayyarn.exchange.ends import borrower

# Neighbouring small blocks of one node make one partition of about so many bytes: a Spark task costs 10 ms.
_PARTITION_BYTES = 64 << 20


def lend(dataset: Any, spark: Any, wanted: Any) -> Any:
    """The DataFrame over ``dataset``'s blocks. ``wanted``: a Spark schema, DDL, or None for the Dataset's own."""
    blocks, sizes, own = _blocks(dataset)
    target = _schema(spark, wanted) if wanted is not None else schema.spark_schema(own)
    schema.refuse(target)
    if not blocks:
        return spark.createDataFrame([], target)
    plain = schema.plain(target)
    fields = bytes(schema.arrow_schema(plain).serialize())
    held_by = _holders(blocks)
    nodes = sorted(set(held_by))
    secret = secrets.token_bytes(32)
    lease = leases.Lease(spark, blocks, nodes)
    try:
        addresses = lease.open(secret=secret, blocks=blocks, fields=fields)
        shares = _shares(held_by, sizes, addresses)
        travel.with_spark()
        read = borrower.reader(lease.name, shares, secret, fields)
        frame = spark_side.numbered(spark, _hosts(shares, addresses)).mapInArrow(read, plain)
    except BaseException:
        lease.end()
        raise
    leases.keep(lease)
    return schema.with_vectors(frame, target)


def _blocks(dataset: Any) -> tuple[list[Any], list[int], Any]:
    """References, sizes in bytes, and the Arrow schema of a Dataset, which is computed now if it was not."""
    import pyarrow as pa

    made = dataset.materialize()
    bundles = made.iter_internal_ref_bundles()
    found = [pair for bundle in bundles for pair in zip(bundle.block_refs, bundle.metadata, strict=True)]
    kept = [(reference, meta) for reference, meta in found if meta.num_rows]
    known = made.schema(fetch_if_missing=True)
    base = known.base_schema if known is not None else pa.schema([])
    if not isinstance(base, pa.Schema):
        base = _as_arrow(kept[0][0] if kept else found[0][0])
    return [reference for reference, _ in kept], [meta.size_bytes or 0 for _, meta in kept], base


def _as_arrow(reference: Any) -> Any:
    """The Arrow schema of a block of pandas."""
    import ray

    def look(block: Any) -> Any:
        from ray.data.block import BlockAccessor

        return BlockAccessor.for_block(block).to_arrow().schema

    return ray.get(ray.remote(look).options(num_cpus=0).remote(reference))


def _holders(blocks: list[Any]) -> list[str]:
    """The node that holds each block; where Ray keeps it with its owner (it is small), any node that keeps data."""
    import ray

    places = ray.experimental.get_object_locations(blocks)
    alive = stations.nodes()
    every = {str(node["NodeID"]) for node in ray.nodes() if node["Alive"]}
    found = []
    for number, block in enumerate(blocks):
        there = [node for node in places[block].get("node_ids") or [] if node in every]
        found.append(min(there) if there else alive[number * len(alive) // len(blocks)])
    return found


def _shares(held_by: list[str], sizes: list[int], addresses: dict[str, tuple[str, int]]) -> list[borrower.Share]:
    """Partitions of neighbouring blocks. The others follow the holder: they fetch a block if it is gone there."""
    runs: list[list[int]] = []
    held = 0  # bytes in the last run
    for number, node in enumerate(held_by):
        if runs and held_by[runs[-1][-1]] == node and held + sizes[number] <= _PARTITION_BYTES:
            runs[-1].append(number)
            held += sizes[number]
        else:
            runs.append([number])
            held = sizes[number]
    shares = []
    for run in runs:
        first = held_by[run[0]]
        order = sorted(addresses, key=lambda node: node != first)
        shares.append((run[0], len(run), [addresses[node] for node in order]))
    return shares


def _hosts(shares: list[borrower.Share], addresses: dict[str, tuple[str, int]]) -> list[str]:
    """The host of each partition's blocks, by the name that Spark has for it."""
    names = stations.ask([station.host.remote() for station in stations.there(addresses)])
    named = dict(zip(addresses.values(), names, strict=True))
    return [named[lenders[0]] for _, _, lenders in shares]


def _schema(spark: Any, wanted: Any) -> Any:
    return spark.createDataFrame([], wanted).schema if isinstance(wanted, str) else wanted
