"""The far ends of an exchange: what runs in Spark's tasks and in Ray's actors, where rayyarn need not be installed.

These modules travel by value (see ``rayyarn.exchange.travel``): they import the standard library, pyarrow, pyspark, ray
and each other's functions, and keep no state.
"""
