"""The line of a foreign error that says most. Travels by value: stdlib."""

from __future__ import annotations

import re

# What Python prints of an exception: its name, then its text. Java's and Py4J's own wrap it and say less.
_RAISED = re.compile(r"(?!org\.|java\.|py4j\.|pyspark\.)[A-Za-z_][\w.]*(Error|Exception|Interrupt): ")
# What the JVM says when no Python worker raised anything.
_TOLD = ("ExecutorLostFailure", "Job aborted", "cancelled")
_MOST = 500  # characters


def telling_line(error: BaseException) -> str:
    """What Python raised last, in Spark's and in Ray's long texts; else the JVM's own sentence, else the first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    told = [line for line in lines if any(word in line for word in _TOLD)]
    return (raised[-1:] or told or lines or [type(error).__name__])[0][:_MOST]
