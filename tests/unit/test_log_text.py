"""YARN's form of logs, and the lines in them that matter."""

from io import BytesIO

import pytest

from rayyarn.errors import UsageError
from rayyarn.logs import text
from rayyarn.logs.container import Container, choose, ordered

HEAD = "Container: {} on {}\nLogAggregationType: {}\n" + "=" * 40 + "\n"
FILE = "LogType:{}\nLogLastModifiedTime:Wed Nov 25\nLogLength:{}\nLogContents:\n"


def printed(*files, kind="AGGREGATED"):
    whole = b""
    for container, node, name, data in files:
        whole += (HEAD.format(container, node, kind) + FILE.format(name, len(data))).encode() + data
        whole += f"\nEnd of LogType:{name}\n{'*' * 60}\n\n".encode()
    return whole


def test_each_file_is_found_whatever_is_in_it():
    lies = b"LogLength:5\nLogContents:\nContainer: c9 on nowhere\n"
    files = [("c1", "n1_1", "a.log", lies), ("c1", "n1_1", "b.log", b""), ("c2", "n2:2", "a.log", b"\xff\n")]
    stream = BytesIO(printed(*files))
    found = list(text.parts(stream))
    assert [(one.container, one.node, one.file, one.length) for one in found] == [
        ("c1", "n1_1", "a.log", len(lies)), ("c1", "n1_1", "b.log", 0), ("c2", "n2:2", "a.log", 2),
    ]  # fmt: skip
    stream.seek(found[2].at)
    assert stream.read(2) == b"\xff\n"


def test_a_page_gives_the_end_of_a_file_and_its_whole_length():
    page = (HEAD.format("c", "n", "LOCAL") + FILE.format("x", 100)).encode() + b"last 10 b\nEnd of LogType:x"
    assert text.excerpt(page, 10) == (100, b"last 10 b\n")
    whole = (HEAD.format("c", "n", "LOCAL") + FILE.format("x", 3)).encode() + b"abc\nEnd of LogType:x"
    assert text.excerpt(whole, 50) == (3, b"abc")
    assert text.excerpt(b"plain", 3) == (5, b"ain")


RAY = """\
[2026-11-25 04:00:00,123 I 12 12] (raylet) main.cc:1: fine
[2026-11-25 04:00:00,124 W 12 12] (raylet) main.cc:2: not so fine
[2026-11-25 04:00:00,125 C 12 12] (raylet) main.cc:3:  Check failed: disk
*** StackTrace Information ***
[2026-11-25 04:00:00,126 I 12 12] (raylet) main.cc:4: on we go
"""
PYTHON = """\
2026-11-25 04:00:00,123 INFO ready
2026-11-25 04:00:00,123 ERROR Ray failed: x
:actor_name:Work
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    boom()
ValueError: boom
that was it
ModuleNotFoundError: No module named 'ray'
2026-11-25 04:00:01,000\tINFO no error: 0 errors
2026-11-25 04:00:01,000\tERROR reporter_agent.py:1 -- no answer
2026-11-25 04:00:01,000\tWARNING fewer than asked
"""
JAVA = """\
26/11/25 04:00:00 INFO skein.ApplicationMaster: started
26/11/25 04:00:00 ERROR skein.ApplicationMaster: lost
java.io.IOException: gone
\tat com.anaconda.Skein
Caused by: java.net.ConnectException
26/11/25 04:00:00 INFO skein.ApplicationMaster: ended
"""


@pytest.mark.parametrize(
    ("written", "kept"),
    [(RAY, [2]), (PYTHON, [1, 3, 4, 5, 6, 8, 10]), (JAVA, [1, 2, 3, 4])],
    ids=["ray", "python", "java"],
)
def test_the_lines_that_tell_of_an_error(written, kept):
    lines = written.splitlines()
    assert list(text.telling(lines)) == [lines[number] for number in kept]


def test_what_ray_says_of_its_own_stop_is_no_error():
    supervisor = "2026-11-25 04:00:00,100 INFO worker-0 in c on n\n2026-11-25 04:00:02,100 INFO leaving: told to stop\n"
    lines = [
        "[2026-11-25 04:00:01,100 E 1 1] (raylet) before",
        "[2026-11-25 04:00:02,200 E 1 1] (raylet) agent_manager.cc:87: one Ray agent failed",
        "- The agent is killed by the OS",
    ]
    assert list(text.telling(lines, text.stopped(supervisor))) == lines[:1]
    assert list(text.telling(lines, text.stopped("2026-11-25 04:00:00,100 INFO worker-0\n"))) == lines


def test_the_last_lines():
    assert text.last("abc", 2) == ["b", "c"]
    assert text.last("abc", 0) == []
    assert text.last("abc", 5) == text.last("abc", None) == ["a", "b", "c"]


def test_a_container_answers_to_its_names():
    head = Container("head", "container_1_0001_01_000002", "n1:8042")
    tenth, second = Container("worker-10", "container_1_0001_01_000004", "n2:8042"), Container("worker-2", "c", "n1:1")
    master = Container("master", "container_1_0001_01_000001", "n2:8042")
    all_of_them = ordered([master, tenth, head, second])
    assert [one.node for one in all_of_them] == ["head", "worker-2", "worker-10", "master"]
    assert [choose(all_of_them, name, "x") for name in ("head", "000002", head.id)] == [[head]] * 3
    assert choose(all_of_them, "n1", "x") == [head, second]
    with pytest.raises(UsageError, match="there are: head, worker-2, worker-10, master"):
        choose(all_of_them, "worker-1", "x")
