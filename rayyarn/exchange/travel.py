"""How the far ends reach processes that have no rayyarn: by value, with Spark's tasks and with Ray's actors.

Spark and Ray each carry a copy of cloudpickle of their own, and each has to be told.
"""

from __future__ import annotations

import functools


@functools.cache
def with_spark() -> None:
    """From now on Spark's tasks carry the functions of ``ends`` with them."""
    from pyspark import cloudpickle

    from rayyarn.exchange import ends

    cloudpickle.register_pickle_by_value(ends)


@functools.cache
def with_ray() -> None:
    """From now on Ray's tasks and actors carry the functions and classes of ``ends`` with them."""
    from ray import cloudpickle

    from rayyarn.exchange import ends

    cloudpickle.register_pickle_by_value(ends)
