"""Which line of the long texts of Spark and Ray is shown: the same choice wherever a foreign error is told."""

import pytest

from rayyarn.exchange.ends.telling import telling_line

SPARK = """An error occurred while calling o1.collect.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 4 in stage 1.0 failed 4 times
Traceback (most recent call last):
  File "worker.py", line 1, in main
ValueError: the first cause
The above exception was the direct cause of the following exception:
RuntimeError: this partition cannot be computed

\tat org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:1)
"""
LOST = """An error occurred while calling o1.collect.
: org.apache.spark.SparkException: Job aborted due to stage failure: ExecutorLostFailure (executor 3 exited)
Driver stacktrace:
"""
RAY = """ray::Station.receive() (pid=1, ip=127.0.0.1)
  File "station.py", line 1, in receive
OSError: [Errno 99] Cannot assign requested address"""
DEAD = """The actor died unexpectedly before finishing this task.
\tclass_name: Station
\tactor_id: 1"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SPARK, "RuntimeError: this partition cannot be computed"),
        (LOST, ": org.apache.spark.SparkException: Job aborted due to stage failure: ExecutorLostFailure"),
        (RAY, "OSError: [Errno 99] Cannot assign requested address"),
        (DEAD, "The actor died unexpectedly before finishing this task."),
        ("\n  \n", "Exception"),
    ],
)
def test_the_line_that_says_most(text, line):
    assert telling_line(Exception(text)).startswith(line)


def test_a_line_has_an_end():
    assert len(telling_line(Exception("x" * 10_000))) == 500
